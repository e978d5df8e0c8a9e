"""The means of every action: the target's lock, the journal as it is written; a session has both."""
