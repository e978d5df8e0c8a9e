"""Profile errors in the house's form: file, key, expected, observed; one line each, without the input."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

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

# Mistakes in a word of a closed set, whose text may be named. A text where a number or a date belongs may be
# anything, also a secret.
_OF_PUBLIC_TEXT = frozenset({"literal_error", "string_pattern_mismatch", "string_too_short"})


UNANSWERED = "change-me"
"""The word that `init` writes where only a person knows the right one."""

# What pydantic calls a tuple, a dictionary or an instance, in the words of a profile.
_SHAPES = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
# What pydantic says of a value, in the words of the profile's reference.
_SAID = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("url_type", "url_parsing"), "a URL with its scheme, such as http://127.0.0.1:8090"),
    "string_type": "text",
}
_PARTS = {
    "Input should be ": "",
    "String should match": "text of the",
    "greater than or equal to": "at least",
    "greater than": "more than",
    "less than or equal to": "at most",
}
# Keys of a table that are named.
_KEYS = 8


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

    Such variables begin with `prefix`.
    """
    found: list[UsageProblem] = []
    absent: list[UsageProblem] = []
    for detail in error.errors(include_url=False):
        wrong = _explain_one(detail, path, model)
        location = _without_tags(detail["loc"], model)
        said = detail.get("ctx", {}).get("error")
        key = said.key if isinstance(said, Wrong) else ""
        # A pattern of names may have a dot; other keys have one between their parts.
        name = _variable_of([*location, key], prefix) if key else ""
        name = name or _variable_of([*location, *filter(None, key.split("."))], prefix)
        if name and detail["type"] != "missing":
            wrong = mistake(
                what=wrong.what,
                expected=str(wrong.expected),
                observed=str(wrong.observed),
                source=f"the variable {name}",
                hint=f"{wrong.hint}, or unset {name}"
                if isinstance(said, Wrong) and said.hint
                else f"correct {name}, or unset it",
            )
        # A profile without its secrets has a mistake for each: those of its own come first.
        (absent if isinstance(said, Wrong) and said.missing else found).append(wrong)
    return [*found, *absent]


def _variable_of(location: Sequence[int | str], prefix: str) -> str:
    """Return the variable of the environment that sets a key or a part of it, or "" if the profile does."""
    parts = [str(part).upper() for part in location]
    names = {name.upper(): name for name in os.environ}
    whole = f"{prefix}{'__'.join(parts)}"
    if whole in names:
        return names[whole]
    within = next((names[name] for name in sorted(names) if name.startswith(f"{whole}__")), "")
    # A table as JSON sets some of its keys.
    for count in range(len(parts) - 1, 0, -1):
        name = names.get(f"{prefix}{'__'.join(parts[:count])}")
        if name is not None and _sets(os.environ[name], location[count:]):
            return name
    return within


def _sets(text: str, location: Sequence[int | str]) -> bool:
    """Return whether the JSON in `text` has a value at `location`."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    for part in location:
        try:
            value = value[part]
        except (TypeError, LookupError):
            return False
    return True


def _explain_one(detail: ErrorDetails, path: Path, model: type[BaseModel]) -> UsageProblem:
    # A tagged union puts its tag into the location ("stores.mysql.mysql.port"); the profile has no such key.
    location = _without_tags(detail["loc"], model)
    key = ".".join(str(part) for part in location)
    context = detail.get("ctx", {})
    hint = f"correct that in {path.name}"
    match detail["type"]:
        case "extra_forbidden":
            siblings = sorted(_siblings(detail["loc"], model))
            hint = did_you_mean(str(location[-1]), siblings, f"remove {key}", most=1)
            expected, observed = f"one of {', '.join(siblings)}", f"the unknown key {location[-1]}"
        case "missing":
            expected, observed = "a value", "none"
            hint = f"add {key} to {path.name}"
        case "union_tag_not_found":
            key, expected, observed = f"{key}.kind", "a kind", "none"
        case "union_tag_invalid":
            key, expected, observed = f"{key}.kind", context["expected_tags"], shown(context["tag"])
        case kind if kind in _SHAPES:
            expected, observed = _shape(detail, model), type_of(detail["input"])
            hint = _example(key, location, model) or hint
        case "too_short":
            least = context["min_length"]
            expected = f"at least {least} {'item' if least == 1 else 'items'}"
            observed = type_of(detail["input"])
        case _ if isinstance(wrong := context.get("error"), Wrong):
            key = ".".join(part for part in (key, wrong.key) if part)
            expected, observed = wrong.expected, wrong.observed
            if wrong.hint:
                hint = wrong.hint
            elif wrong.missing:
                hint = f"make that file or correct its path in {path.name}"
                hint += also_staging("for the staging stack")
        case _:
            expected, observed = _said(detail), _observed(detail)
    return mistake(what=key or "profile", expected=expected, observed=observed, source=str(path), hint=hint)


def _said(detail: ErrorDetails) -> str:
    """Return what pydantic, or a check of ours, expected."""
    raised = detail.get("ctx", {}).get("error")
    if isinstance(raised, Exception):
        return _lower(str(raised).removeprefix("Input should be "))
    said = _SAID.get(detail["type"], detail["msg"])
    for theirs, ours in _PARTS.items():
        said = said.replace(theirs, ours)
    return _lower(said)


def _observed(detail: ErrorDetails) -> str:
    """Return the value that pydantic refused, or only its type where it may be a secret."""
    value, kind = detail["input"], detail["type"]
    is_public = kind in _OF_PUBLIC_TEXT or (
        # A value of another type may be anything, also one that belongs to a neighbouring key.
        isinstance(value, (int, float)) and not kind.endswith(("_type", "value_error", "assertion_error"))
    )
    return shown(value) if is_public else type_of(value)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _shape(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """Return the list or table that belongs there, and its keys where they are not the profile's choice."""
    keys = [*_siblings((*detail["loc"], ""), model)]
    return f"{_SHAPES[detail['type']]}{f' with {listed(keys, _KEYS)}' if keys else ''}"


def _example(key: str, location: Sequence[int | str], model: type[BaseModel]) -> str:
    """Return a hint with the default table at `location` as TOML, or "" if that is no table of numbers."""
    default: object = None
    owner: type[BaseModel] | None = model
    for part in location:
        field = owner.model_fields.get(str(part)) if owner is not None else None
        default = field.default if field is not None else None
        owner = type(default) if isinstance(default, BaseModel) else None
    values = dict(default) if isinstance(default, BaseModel) else {}
    if not values or not all(isinstance(value, (int, float)) for value in values.values()):
        return ""
    table = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    return f"write it like this: {key} = {{{table}}}"


def _without_tags(location: Sequence[int | str], model: type[BaseModel]) -> list[int | str]:
    kept: list[int | str] = []
    for part, _owner, is_tag in _walk(location, model):
        if not is_tag:
            kept.append(part)
    return kept


def _siblings(location: Sequence[int | str], model: type[BaseModel]) -> Iterable[str]:
    owner: type[BaseModel] | None = model
    for _part, owner_of_part, _is_tag in _walk(location, model):
        owner = owner_of_part
    return owner.model_fields if owner is not None else ()


def _walk(
    location: Sequence[int | str], model: type[BaseModel]
) -> Iterable[tuple[int | str, type[BaseModel] | None, bool]]:
    """Yield each part of `location`, the model that it is a key of, and whether it is a union's tag."""
    owners: tuple[type[BaseModel], ...] = (model,)
    is_key = False
    for part in location:
        if is_key:  # a key of a table is the profile's own word, even when it is spelled like a tag
            is_key = False
            yield part, None, False
            continue
        tagged = [o for o in owners if len(owners) > 1 and _tag(o) == part]
        if tagged:
            owners = (tagged[0],)
            yield part, None, True
            continue
        owner = owners[0] if owners else None
        yield part, owner, False
        field = owner.model_fields.get(str(part)) if owner is not None else None
        if field is not None:
            owners = tuple(_models(field.annotation))
            is_key = _is_table(field.annotation)


def _tag(model: type[BaseModel]) -> str | None:
    kind = model.model_fields.get("kind")
    values = get_args(kind.annotation) if kind is not None else ()
    return values[0] if values else None


def _models(annotation: Any) -> Iterable[type[BaseModel]]:  # noqa: ANN401 - an annotation can be anything
    """Yield the models that a value of this annotation may be or hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, Annotated, dict, tuple, list}:
        for argument in get_args(annotation):
            yield from _models(argument)


def _is_table(annotation: Any) -> bool:  # noqa: ANN401 - an annotation can be anything
    """Return whether a value of this annotation is a table with the profile's own keys."""
    if get_origin(annotation) is Annotated:
        return _is_table(get_args(annotation)[0])
    return get_origin(annotation) is dict
