"""The emergency rollback of a staging stack, compared with the bare commands that it wraps.

Bare: stop the application, let each store's restore client put its backup back, all side by side, check the
commit out, and `docker compose up`; in a third way, copy each store first. It lacks the plan, lock and
journal, the export of later writes, and the account of the records.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import Measure, side_by_side
from rollback_actions.containers.compose import ComposeControl
from rollproof.backups.sets import find_backup
from rollproof.engines.engine import open_engine
from rollproof.git.repository import git, head
from rollproof.profile.profile import Target
from rollproof.stores.keepers import open_keepers
from rollproof.system.side_by_side import every
from staging.stack.stack import Stack
from staging.target.action_runs import apart, require_action
from tests.conftest import ROOT

TIMES = 3
SECONDS = 300


def measure_rollback(stack: Stack, target: Target, wreck: Callable[[], object]) -> list[Measure]:
    """Return the times of the ways, run in turns on data that `wreck` has damaged.

    Ours comes first, then the bare commands, then these with a copy.

    Raises:
        ActionFailed: a rollback failed, so its time means nothing.
    """
    commit = head(target.application.repository)
    with tempfile.TemporaryDirectory() as folder:
        backups = Path(folder) / "backups"
        environment = apart(stack.profile, Path(folder), HOLD_SECONDS="0")
        for command in ("backup", "capture"):
            _actions(environment, command)
        ours = partial(_actions, environment, "rollback", "emergency", commit)
        bare = partial(_bare, stack, target, backups, commit)
        ways: dict[str, Callable[[], None]] = {
            "emergency rollback": ours,
            "bare commands": bare,
            "bare commands that copy first": partial(bare, copies=Path(folder)),
        }
        return side_by_side({name: partial(_wrecked, wreck, way) for name, way in ways.items()}, TIMES)


def _wrecked(wreck: Callable[[], object], roll_back: Callable[[], None]) -> None:
    # All times include the wrecking, which is short.
    wreck()
    roll_back()


def _bare(stack: Stack, target: Target, backups: Path, commit: str, copies: Path | None = None) -> None:
    services = target.application.services
    stack.compose("stop", *services, seconds=SECONDS)
    keepers = open_keepers(target, open_engine(target.engine), ComposeControl(target.engine))
    backup = find_backup(backups, target.name, commit)
    if copies is not None:
        copy = Path(tempfile.mkdtemp(dir=copies))

        def keep(name: str) -> None:
            (copy / name).mkdir()
            keepers[name].keep_safe(copy / name, up=True, backup=backup.folder / name)

        every(keep, keepers, name="copy")
    every(lambda name: keepers[name].restore(backup.folder / name), keepers, name="restore")
    git(target.application.repository, "checkout", "--quiet", commit)
    up = ["--detach", "--no-build", "--no-deps", "--force-recreate", "--wait"]
    stack.compose("up", *up, *services, seconds=SECONDS)


def _actions(environment: dict[str, str], *arguments: str) -> None:
    require_action(ROOT, environment, *arguments, hint="only a rollback that ends well is measured")
