"""The timeline of an incident: all its events, in order, from its folder alone."""
