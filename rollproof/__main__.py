"""The command `rollproof`, from any folder."""

from __future__ import annotations

import sys

from rollproof import SUITE


def main() -> int:
    """Run the command line with the suite's own modules, whatever else is installed."""
    sys.path.insert(0, str(SUITE))
    from rollproof.cli.command_line import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
