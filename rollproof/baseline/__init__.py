"""The baseline: the facts of a good state, recorded and kept, and how a target differs."""
