"""Everything that changes the target. `check_run` starts runs of the checks, each in its own process."""
