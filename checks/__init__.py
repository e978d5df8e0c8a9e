"""The runbook's checks. They read like the runbook, and know no driver."""
