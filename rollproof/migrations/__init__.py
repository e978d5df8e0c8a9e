"""A migration: what it did to the stores."""
