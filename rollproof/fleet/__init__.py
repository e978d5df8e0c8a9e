"""Many targets in one run: which they are, their runs side by side, and how each ended."""
