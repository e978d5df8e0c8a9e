"""The machine below a stack: programs that are run and ended, Debian packages, a Docker engine."""
