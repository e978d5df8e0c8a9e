"""What this machine gives a stack: programs that are run and ended, Debian packages, a Docker engine.

May import `fixtures.*`.
"""
