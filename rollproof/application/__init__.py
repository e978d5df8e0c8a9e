"""The application as its users see it: a client of its API, and the canary user of phase 3.

The canary is the one exception to reading only; it removes its traces.
"""
