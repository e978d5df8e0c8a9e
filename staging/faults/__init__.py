"""Data faults: each breaks one thing in the real stores, and names the check of phase 4 that must see it."""
