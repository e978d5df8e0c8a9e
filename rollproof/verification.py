"""pytest, as `rollproof verify` becomes it."""

from __future__ import annotations

import runpy

from rollproof.__main__ import begun


def main() -> int:
    """Run pytest with the words of this process."""
    return begun(_run)


def _run() -> int:
    runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
