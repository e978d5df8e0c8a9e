"""The folder of an incident, as far as it can be trusted, and the events in it."""
