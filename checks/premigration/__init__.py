"""What must hold before a migration is promoted: step by step, as the runbook has it."""
