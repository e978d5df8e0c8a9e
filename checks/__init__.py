"""The runbook's checks. They read like the runbook; they know no driver and write nothing."""
