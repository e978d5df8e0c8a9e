"""The terminal: steps as they are done, and what a command answers, for people or as JSON: see `document`.

Its `guard` is the edge of each command line: errors and exit codes.
"""
