"""Drills: faults are injected into a stack under real load, and the monitor must tell which one it is."""
