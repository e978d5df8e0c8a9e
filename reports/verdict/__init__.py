"""The verdict: for programs, for a terminal, as the gate's page, and its known limits."""
