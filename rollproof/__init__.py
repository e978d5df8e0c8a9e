"""The command `rollproof`, and pytest's plugin of that name: the door of an installed suite.

May import `fixtures`, `fixtures.system`, `rollback_actions`.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSIDE = _HERE / "suite"
SUITE = _INSIDE if _INSIDE.is_dir() else _HERE.parent
"""The folder with the rooms: inside this package in a wheel, beside it in a checkout."""
