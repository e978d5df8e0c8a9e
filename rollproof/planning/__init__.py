"""A rollback as planned, tried, watched and recorded: schedule, refusals, commands to type, lock, status."""
