"""What is verified. Reads like the runbook; knows no driver, writes nothing."""
