"""The command `rollproof`: the command line of `rollback_actions`, from any folder."""

from __future__ import annotations

import os
import sys

from rollproof import SUITE
from rollproof.beginning import interruptible


def main() -> int:
    """Run the command line as somebody typed it."""
    return interruptible(_typed)


def _typed() -> int:
    _find_suite()
    from fixtures.home import TYPED  # noqa: PLC0415 - found from here on

    os.environ[TYPED] = "1"  # before the import: it makes the help of the groups
    return command_line()


def command_line() -> int:
    """Run the command line with the suite's own modules, whatever else is installed."""
    _find_suite()
    from rollback_actions.__main__ import main as run  # noqa: PLC0415 - found from here on

    return run()


def _find_suite() -> None:
    if sys.path[0] != str(SUITE):
        sys.path.insert(0, str(SUITE))


if __name__ == "__main__":
    raise SystemExit(main())
