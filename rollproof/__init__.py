"""The library, and the command `rollproof`: a target as it is read, each store with its keeper, the incident.

Its own modules are what every package shares: `errors`, `verdict`, `runbook` (phases and steps), `collection`
(what a store has records in), `record_names` (files of an incident), `reading` (files that others name) and
`home` (where the suite lies). `__main__` and `plugin` start the command and pytest.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSIDE = _HERE / "suite"
SUITE = _INSIDE if _INSIDE.is_dir() else _HERE.parent
"""The folder with the rooms: inside this package in a wheel, next to it in a checkout."""
