"""The programs of a machine in memory: git, and compose as far as it reads files. Nothing else starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from rollproof.errors import ActionFailed
from tests.world import git


def keep_programs_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let git and compose, as the product starts them, be those in memory."""
    for module in ("rollproof.git.repository", "rollproof.engines.compose_project"):
        monkeypatch.setattr(f"{module}.run_command", _run)


def _run(command: Sequence[str], *, what: str, stdout: Path | None = None, **_: object) -> str:
    """Answer as `rollproof.system.command.run_command` does."""
    try:
        said = git.answer(command) if command[0] == "git" else _configuration(command)
    except git.Refused as refused:
        raise ActionFailed(
            what=what, expected="exit code 0", observed=str(refused), source="memory", hint="-"
        ) from None
    if stdout is None:
        return said
    stdout.write_bytes(said.encode("latin-1"))
    return ""


def _configuration(command: Sequence[str]) -> str:
    """Return what `docker compose config` prints of the files that it is given: services, or all as JSON."""
    if "config" not in command:
        raise git.Refused("no engine")
    services: dict[str, object] = {}
    for option, file in pairwise(command):
        if option == "--file":
            try:
                services |= yaml.safe_load(Path(file).read_text(encoding="utf-8"))["services"]
            except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
                raise git.Refused(str(error)) from None
    if command[-1] == "--services":
        return "\n".join(services)
    wanted = command[command.index("json") + 1 :] or services
    return json.dumps({"services": {name: services[name] for name in wanted}})
