"""One world in memory: what a rollback, a check or a client meets outside of this process."""
