"""What a check is given outside of pytest: fixtures by their names, made out of what a test knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fixtures import application, cases, premigration, stores, target
from fixtures.gating.evidence import Expect
from rollproof.errors import Mismatch, Problem
from rollproof.verdict import Verdict

_MODULES = (target, cases, stores, application, premigration)


def given(name: str, known: dict[str, Any]) -> Any:  # noqa: ANN401 - a fixture's value
    """Return the value of the fixture `name`, as pytest makes it out of what is `known`."""
    if name not in known:
        made = inspect.unwrap(next(getattr(module, name) for module in _MODULES if hasattr(module, name)))
        known[name] = made(**{one: given(one, known) for one in inspect.signature(made).parameters})
    return known[name]


def judged(check: Callable[..., object], known: dict[str, Any]) -> tuple[Verdict, str]:
    """Return the verdict of `check` and the first line of its reason."""
    said: dict[str, Any] = {"expect": Expect([]), "note": lambda _: None, "evidence": lambda *_: None}
    try:
        check(**{name: given(name, known | said) for name in inspect.signature(check).parameters})
    except Mismatch as wrong:
        return Verdict.FAILED, wrong.summary
    except Problem as problem:
        return Verdict.BROKEN, problem.summary
    return Verdict.PASSED, ""
