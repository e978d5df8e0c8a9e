"""The four phases after a rollback."""
