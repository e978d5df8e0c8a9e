"""The command line as pytest begins it anew: nobody typed its name, and no hint of a checkout has it."""

from __future__ import annotations

from rollproof.__main__ import begun, command_line

if __name__ == "__main__":
    raise SystemExit(begun(command_line))
