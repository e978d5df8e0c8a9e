"""Runs commands of the actions on the staging target, with folders apart from the user's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rollproof.errors import ActionFailed, ExitCode
from rollproof.profile.profile import PREFIX, Target, load_target
from staging.processes import LOOK, Done, finish

ACTION_SECONDS = 900
# Clocks that never run out, for runs that show how an action ends, however slow the machine.
PATIENT = {
    "HOLD_SECONDS": "0",
    "ROLLBACK_SECONDS": "1800",
    "RTO_SECONDS": "7200",
    "WINDOWS__VERIFICATION": "1800",
    **{
        f"WINDOWS__PHASE{number}__{bound}": seconds
        for number in range(1, 5)
        for bound, seconds in (("START", "0"), ("END", "7200"))
    },
}
# Nor for what a machine on which much else runs makes slow: what each store and the application may take.
STORE_SECONDS = 60.0
UNHURRIED = {
    "APPLICATION__HEALTH__LATENCY_MILLISECONDS": "8000",
    **{
        f"STORES__{store}__DEADLINE_SECONDS": str(STORE_SECONDS)
        for store in ("MYSQL", "MONGODB", "REDIS", "QDRANT", "MILVUS", "MINIO", "KAFKA")
    },
}


def apart(profile: Path, folder: Path, **settings: str) -> dict[str, str]:
    """Return this process's environment with a staging `profile`, whose folders lie below `folder`.

    `settings` override single keys of the profile; this process's own overrides are dropped.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    folders = {
        f"FOLDERS__{name.upper()}": str(folder / name) for name in ("baselines", "incidents", "backups")
    }
    ours = {**folders, **settings, "TARGET": str(profile)}
    return {**kept, **{f"{PREFIX}{name}": value for name, value in ours.items()}}


def unhurried(profile: Path) -> Target:
    """Return the target of a staging `profile` whose stores may take as long as those of `UNHURRIED`."""
    target = load_target(profile)
    patience = {"deadline_seconds": STORE_SECONDS}
    stores = {name: store.model_copy(update=patience) for name, store in target.stores.items()}
    return target.model_copy(update={"stores": stores})


def run_action(
    root: Path, environment: Mapping[str, str], *arguments: str, seconds: float = ACTION_SECONDS
) -> Done:
    """Run a command of the actions to its end, within `seconds`, and capture its output."""
    return finish(
        [sys.executable, "-m", "rollproof", *arguments],
        seconds=seconds,
        hint=LOOK,
        folder=root,
        environment=environment,
    )


def require_action(root: Path, environment: Mapping[str, str], *arguments: str, hint: str) -> None:
    """Run a command of the actions, which must succeed.

    Raises:
        ActionFailed: the command failed.
    """
    done = run_action(root, environment, *arguments)
    if done.returncode != ExitCode.VERIFIED:
        raise ActionFailed(
            what=" ".join(arguments),
            expected=f"exit code {ExitCode.VERIFIED:d}",
            observed=f"{done.returncode}: {done.stderr[-500:]}",
            source="rollproof",
            hint=hint,
        )
