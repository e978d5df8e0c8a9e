"""Mistakes in a profile: key, both sides and file of each in one line, with a hint; never a secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import AnyUrl, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollproof.errors import (
    Described,
    ProfileMistake,
    UsageProblem,
    listed,
    on_one_line,
    shown,
    type_of,
)

UNANSWERED = "change-me"
"""The word that `init` writes where only a person knows the right one."""


def unanswered(value: object, key: str = "") -> Iterator[str]:
    """Yield the keys below `key` of a profile that still hold `UNANSWERED`, alone or as the host of a URL."""
    if isinstance(value, BaseModel):
        value = {name: getattr(value, name) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from unanswered(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        yield from dict.fromkeys(one for item in value for one in unanswered(item, key))
    elif value == UNANSWERED or (isinstance(value, AnyUrl) and value.host == f"{UNANSWERED}.invalid"):
        yield key


class ProfileProblem(UsageProblem):
    """A profile that cannot be used. Its text has every mistake, then each hint once."""

    def __init__(self, mistakes: Sequence[Described]) -> None:
        """Keep `mistakes`, each from `mistake`. Its own parts are those of the only one, or their sum."""
        self.mistakes = tuple(mistakes)
        first, several = mistakes[0], len(mistakes) > 1
        names = f"{len(mistakes)}: {listed([one.what for one in mistakes])}"
        hints = dict.fromkeys(one.hint for one in mistakes)
        super().__init__(
            what="profile" if several else first.what,
            expected="no mistake" if several else first.expected,
            observed=names if several else first.observed,
            source=", ".join(dict.fromkeys(one.source for one in mistakes)),
            hint="; ".join(hints),
        )
        self.args = ("\n".join([*(one.summary for one in mistakes), *(f"HINT: {one}" for one in hints)]),)


def mistake(*, what: str, expected: str, observed: str, source: str, hint: str) -> UsageProblem:
    """Return one mistake, with each of its parts on one line."""
    return UsageProblem(
        what=on_one_line(what),
        expected=on_one_line(expected),
        observed=on_one_line(observed),
        source=on_one_line(source),
        hint=on_one_line(hint),
    )


def explain(error: ValidationError, path: Path, prefix: str) -> list[UsageProblem]:
    """Return each mistake that pydantic found in the profile at `path`, or in a variable that overrides it.

    Such variables begin with `prefix`.
    """
    return [_explained(detail, path, prefix) for detail in error.errors(include_url=False)]


def _explained(detail: ErrorDetails, path: Path, prefix: str) -> UsageProblem:
    location = [str(part) for part in detail["loc"]]
    if len(location) > 2 and location[0] == "stores":  # noqa: PLR2004 - the third part is the kind, no key
        del location[2]
    kind, context = detail["type"], detail.get("ctx", {})
    wrong, hint = context.get("error"), f"correct that in {path.name}"
    expected, observed = _in_words(detail), type_of(detail["input"])
    if isinstance(wrong, ProfileMistake):
        location += filter(None, wrong.key.split("."))
        expected, observed = wrong.expected, wrong.observed
        hint = wrong.hint or hint
    elif kind == "missing":
        expected, observed = "a value", "none"
        hint = f"add {'.'.join(location)} to {path.name}"
    elif kind.startswith("union_tag"):
        location.append("kind")
        expected = context.get("expected_tags", "a kind")
        observed = shown(context["tag"]) if "tag" in context else "none"
    elif kind in _PUBLIC or (isinstance(detail["input"], int | float) and not kind.endswith("_type")):
        observed = shown(detail["input"])
    source, own = str(path), f"{prefix}{'__'.join(location)}".upper()
    # A variable may set the value itself, a table around it, or a key in it.
    ours = [name for name in os.environ if name.startswith(prefix)]
    near = [name for name in ours if name.startswith(own) or own.startswith(name)]
    if location and near:
        source, hint = f"{path} and the variable {near[0]}", f"{hint}, or unset {near[0]}"
    what = ".".join(location) or "profile"
    return mistake(what=what, expected=expected, observed=observed, source=source, hint=hint)


# Mistakes in a word of a closed set, whose text may be named: any other text may be a secret.
_PUBLIC = frozenset({"literal_error", "string_pattern_mismatch", "string_too_short"})
_SHAPES = {"tuple": "a list", "list": "a list", "dict": "a table", "model": "a table"}


def _in_words(detail: ErrorDetails) -> str:
    """Return what pydantic expected."""
    if detail["type"].endswith("_type") and (shape := _SHAPES.get(detail["type"].partition("_")[0])):
        return shape
    said = detail["msg"].removeprefix("Input should be ").replace("String should match", "text of the")
    return said[:1].lower() + said[1:]
