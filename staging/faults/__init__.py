"""Data faults: each breaks one thing in the real stores, and says which check must see it."""
