"""Mistakes in a profile: key, both sides and file of each in one line, with a hint; never a secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

from pydantic import AnyUrl, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollproof.errors import (
    MOST_MISTAKES,
    Described,
    ExitCode,
    UsageProblem,
    Wrong,
    did_you_mean,
    listed,
    on_one_line,
    shown,
    type_of,
)
from rollproof.home import also_staging
from rollproof.profile.kinds import kinds

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
    """A profile that cannot be used. Its text lists the first errors, and how many more there are."""

    exit_code: ClassVar[ExitCode] = ExitCode.USAGE

    def __init__(self, mistakes: Sequence[Described]) -> None:
        """Keep `mistakes`, each from `mistake`. Its own parts are those of the only one, or their sum."""
        first, told = mistakes[0], mistakes[:MOST_MISTAKES]
        self.mistakes, self.told = tuple(mistakes), tuple(told)
        self.left = len(mistakes) - len(told)
        """Mistakes beside those that are told."""
        hints = tuple(dict.fromkeys(one.hint for one in told))
        several = len(mistakes) > 1
        super().__init__(
            what="profile" if several else first.what,
            expected="no mistake" if several else first.expected,
            observed=f"{len(mistakes)}: {listed([one.what for one in told], MOST_MISTAKES)}"
            if several
            else first.observed,
            source=", ".join(dict.fromkeys(one.source for one in told)),
            hint="; ".join(hints),
        )
        # The errors first, then each hint once: without its secrets, a profile has one error per store.
        lines = [*(one.summary for one in told), *([f"{self.left} more"] if self.left else [])]
        self.args = ("\n".join([*lines, *(f"HINT: {hint}" for hint in hints)]),)


def mistake(*, what: str, expected: str, observed: str, source: str, hint: str) -> UsageProblem:
    """Return one mistake, with each of its parts on one line."""
    return UsageProblem(
        what=on_one_line(what),
        expected=on_one_line(expected),
        observed=on_one_line(observed),
        source=on_one_line(source),
        hint=on_one_line(hint),
    )


def explain(error: ValidationError, path: Path, model: type[BaseModel], prefix: str) -> list[UsageProblem]:
    """Return each mistake that pydantic found in the profile at `path`, or in a variable that overrides it.

    Such variables begin with `prefix`. Files and secrets that are not there yet come last: a new profile may
    lack all of them.
    """
    found: tuple[list[UsageProblem], list[UsageProblem]] = ([], [])
    for detail in error.errors(include_url=False):
        wrong = detail.get("ctx", {}).get("error")
        is_missing = isinstance(wrong, Wrong) and wrong.missing
        found[is_missing].append(_explained(detail, path, model, prefix))
    return [*found[0], *found[1]]


def _explained(detail: ErrorDetails, path: Path, model: type[BaseModel], prefix: str) -> UsageProblem:
    location = [str(part) for part in detail["loc"]]
    keys = _keys(location, model)
    if len(location) > 2 and location[0] == "stores":  # noqa: PLR2004 - the third part is the kind, no key
        del location[2]
    kind, context = detail["type"], detail.get("ctx", {})
    wrong, hint = context.get("error"), f"correct that in {path.name}"
    expected, observed = _in_words(detail), type_of(detail["input"])
    if isinstance(wrong, Wrong):
        location += filter(None, wrong.key.split("."))
        expected, observed = wrong.expected, wrong.observed
        made = f"make that file or correct its path in {path.name}{also_staging('for the staging stack')}"
        hint = wrong.hint or (made if wrong.missing else hint)
    elif kind == "extra_forbidden":
        expected, observed = f"one of {', '.join(keys)}", f"the unknown key {location[-1]}"
        hint = did_you_mean(location[-1], keys, f"remove {'.'.join(location)}", most=1)
    elif kind == "missing":
        expected, observed = "a value", "none"
        hint = f"add {'.'.join(location)} to {path.name}"
    elif kind.startswith("union_tag"):
        location.append("kind")
        expected = context.get("expected_tags", "a kind")
        observed = shown(context["tag"]) if "tag" in context else "none"
    elif kind in _PUBLIC or (isinstance(detail["input"], int | float) and not kind.endswith("_type")):
        observed = shown(detail["input"])
    source = str(path)
    if variable := _variable(location, prefix):
        source, hint = f"{path} and the variable {variable}", f"{hint}, or unset {variable}"
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


def _variable(location: Sequence[str], prefix: str) -> str:
    """Return the variable of the environment that sets the value at `location`, or may set it, or ""."""
    whole = f"{prefix}{'__'.join(location)}".upper()
    names = [name for name in os.environ if name.upper().startswith(prefix)]
    wider = [name for name in names if f"{whole}__".startswith(f"{name.upper()}__")]
    return max(wider, key=len, default="") or next(
        (name for name in names if name.upper().startswith(f"{whole}__")), ""
    )


def _keys(location: Sequence[str], model: type[BaseModel]) -> list[str]:
    """Return the keys of the section that holds `location`, whose third part is the kind of a store."""
    section, inner = model, location[:-1]
    if location[:1] == ["stores"] and len(location) > 3:  # noqa: PLR2004 - stores, NAME, KIND and a key
        section, inner = kinds()[location[2]].profile, location[3:-1]
    for part in inner:
        if part in section.model_fields:
            section = next(_sections(section.model_fields[part].annotation), section)
    return sorted(section.model_fields)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - an annotation can be anything
    """Yield the sections that a value of this annotation may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
