"""The monitor's samples, and the severity that follows from them by the runbook's bands."""
