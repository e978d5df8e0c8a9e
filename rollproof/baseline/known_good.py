"""Finding a baseline to roll back to: the current one, a named one, or a commit's newest."""

from __future__ import annotations

from rollproof.baseline.folder import CURRENT, Baseline, load_baseline, read_facts
from rollproof.errors import Problem, UsageProblem
from rollproof.home import typed
from rollproof.profile.profile import Target


def current_baseline(target: Target) -> Baseline:
    """Return the baseline captured last: its commit is the known-good one.

    Raises:
        UsageProblem: there is none. `Unverifiable`: it is not whole, or belongs to another target.
    """
    return baseline_named(target, CURRENT)


def baseline_named(target: Target, name: str) -> Baseline:
    """Return the baseline in the folder `name`.

    Raises:
        UsageProblem: there is none. `Unverifiable`: it is not whole, or belongs to another target.
    """
    folder = target.folders.baselines / name
    if not folder.exists():
        raise UsageProblem(
            what="known-good baseline",
            expected=f"a baseline of {target.name}",
            observed="none",
            source=str(folder),
            hint=f"capture one of a good state: {typed('capture')}",
        )
    return load_baseline(folder, target.name, target.baseline_key)


def baseline_of(target: Target, commit: str) -> Baseline:
    """Return the newest whole baseline for `commit`, a full id.

    Raises:
        UsageProblem: there is none; its text lists the baselines found.
    """
    seen = []
    folder = target.folders.baselines
    for path in sorted(folder.glob("*/manifest.json"), reverse=True):
        if path.parent.is_symlink():
            continue
        try:
            found = read_facts(path.parent, target.name, target.baseline_key).commit
            if found == commit:
                baseline = load_baseline(path.parent, target.name, target.baseline_key)
                if baseline.facts.commit == commit:
                    return baseline
                found = baseline.facts.commit
        except Problem as problem:
            seen.append(problem.summary)
        else:
            seen.append(f"one of commit {found[:12]}")
    raise UsageProblem(
        what="baseline",
        expected=f"one of commit {commit[:12]}",
        observed="; ".join(seen) or "none",
        source=str(folder),
        hint="without it the images of that commit are unknown; choose a commit that has a baseline",
    )
