"""The targets of a fleet: profiles that are found by patterns of paths, by name."""

from __future__ import annotations

import glob
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from rollproof.errors import UsageProblem
from rollproof.reading import read_regular

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")


def find_targets(patterns: Sequence[str]) -> dict[str, Path]:
    """Return the profiles that `patterns` match, each once, by the name of its target, sorted by path.

    What is wrong with a profile is a finding of its own run. Without a name there, its path is the name.

    Raises:
        UsageProblem: a pattern matches nothing, or two profiles have one name.
    """
    found: dict[str, Path] = {}
    for profile in sorted({path.absolute() for pattern in patterns for path in _matches(pattern)}):
        name = _name_of(profile)
        if name in found:
            raise UsageProblem(
                what="name of a target",
                expected="another one in each profile, since records are kept by it",
                observed=f"{name} twice",
                source=f"{found[name]}, {profile}",
                hint="correct name in one of the two, or leave it out of --targets",
            )
        found[name] = profile
    return found


def _matches(pattern: str) -> list[Path]:
    # Path.glob takes no absolute pattern.
    profiles = [Path(path) for path in glob.glob(pattern, recursive=True)]  # noqa: PTH207
    if not profiles:
        raise UsageProblem(
            what="--targets",
            expected="a pattern that profiles match, in quotes",
            observed=f"none that matches {pattern!r}",
            source=str(Path.cwd()),
            hint="see what is there, and quote the pattern: --targets 'targets/*.toml'",
        )
    return profiles


def _name_of(profile: Path) -> str:
    try:
        name = tomllib.loads(read_regular(profile).decode()).get("name")
    except (OSError, ValueError):
        name = None
    known = isinstance(name, str) and _NAME.fullmatch(name)
    return str(name) if known else "-".join(profile.with_suffix("").parts[1:])
