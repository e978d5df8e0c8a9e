"""The response to an incident: the runbook's emergency flow."""
