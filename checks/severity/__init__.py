"""How bad it is while a migration runs, by the runbook's bands."""
