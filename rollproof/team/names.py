"""The name that somebody acknowledges under."""

from __future__ import annotations

from collections.abc import Sequence

from rollproof.errors import UsageProblem, did_you_mean, listed


def require_name(name: str, names: Sequence[str], *, what: str, keys: str, hint: str) -> None:
    """Check that `name` is one of `names`, listed in the profile under `keys`; any name if it lists none."""
    if not name.strip() or (names and name not in names):
        raise UsageProblem(
            what=what,
            expected=f"one of {listed(names)}" if names else "a name",
            observed=repr(name[:80]),
            source=f"--as, against {keys} in the profile",
            hint=did_you_mean(name, names, hint),
        )
