"""A rollback as it is commanded and done: one engine, its checkout, its maintenance, its losses."""
