"""Before a migration: its rehearsal; and its reopening afterwards."""
