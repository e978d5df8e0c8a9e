"""The monitor's questions to a target at each beat. They only read; the canary may use a function."""
