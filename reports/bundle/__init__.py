"""The bundle: one archive of an incident to hand on, and the check that it is what was written."""
