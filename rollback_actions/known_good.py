"""Baselines to go back to: the current one, one by its name, the newest of a commit."""

from __future__ import annotations

from fixtures.baseline import Baseline, load_baseline
from fixtures.errors import Problem, UsageProblem
from fixtures.target import Target

_CAPTURE = "capture one of a good state: python -m rollback_actions capture"


def current_baseline(target: Target) -> Baseline:
    """Return the baseline that was captured last: its commit is the known-good one.

    Raises:
        UsageProblem: there is none. `Unverifiable`: it is not whole, or not of this target.
    """
    return baseline_named(target, "current")


def baseline_named(target: Target, name: str) -> Baseline:
    """Return the baseline in the folder `name`.

    Raises:
        UsageProblem: there is none. `Unverifiable`: it is not whole, or not of this target.
    """
    folder = target.folders.baselines / name
    if not folder.exists():
        raise UsageProblem(
            what="known-good baseline",
            expected=f"a baseline of {target.name}",
            observed="none",
            source=str(folder),
            hint=_CAPTURE,
        )
    return load_baseline(folder, target.name, target.baseline_key)


def baseline_of(target: Target, commit: str) -> Baseline:
    """Return the newest whole baseline of `commit`, a full id.

    Raises:
        UsageProblem: there is none; it says what there is.
    """
    seen = []
    folder = target.folders.baselines
    for path in sorted(folder.glob("*/manifest.json"), reverse=True):
        if path.parent.is_symlink():
            continue
        try:
            baseline = load_baseline(path.parent, target.name, target.baseline_key)
        except Problem as problem:
            seen.append(problem.summary)
            continue
        if baseline.facts.commit == commit:
            return baseline
        seen.append(f"one of commit {baseline.facts.commit[:12]}")
    raise UsageProblem(
        what="baseline",
        expected=f"one of commit {commit[:12]}",
        observed="; ".join(seen) or "none",
        source=str(folder),
        hint="without it the images of that commit are not known; choose a commit that has a baseline",
    )
