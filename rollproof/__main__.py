"""The command `rollproof`: the command line of `rollback_actions`, from any folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rollproof import SUITE


def main() -> int:
    """Run the command line as somebody typed it."""
    return begun(_typed)


def begun(program: Callable[[], int]) -> int:
    """Run `program` with the suite's own modules, whatever else is installed."""
    sys.path.insert(0, str(SUITE))
    from rollproof.system.process import interruptible  # noqa: PLC0415 - found from here on

    return interruptible(program)


def _typed() -> int:
    from rollproof.home import TYPED  # noqa: PLC0415

    os.environ[TYPED] = "1"  # before the import: it makes the help of the groups
    return command_line()


def command_line() -> int:
    """Run the command line; the suite's modules can be found."""
    from rollproof.cli.command_line import main as run  # noqa: PLC0415

    return run()


if __name__ == "__main__":
    raise SystemExit(main())
