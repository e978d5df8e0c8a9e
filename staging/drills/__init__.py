"""Drills: trouble is made in a stack under a load of real requests, and the monitor must tell which."""
