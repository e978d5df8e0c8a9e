"""Records on disk: the one way to read and write a frozen dataclass.

The dataclass is the format: a field is a name in JSON. Reading is strict: unknown names and values of another
type are refused, in words that quote no secret. Pydantic is imported when the first record is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from rollproof.errors import UsageProblem, shortened
from rollproof.reading import read_regular
from rollproof.system.files import canonical_json, complete_lines, json_line, write_whole

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
    from pydantic_core.core_schema import CoreSchema

Kind = TypeVar("Kind")
_SHOWN = 100
_LONGEST = 16 * 1024
_SHA256 = "sha256"
_PLAIN = frozenset({str, int, float, bool, type(None)})

# Instructions for `as_json`, in a field's metadata.
LEFT_OUT = {"left out": True}
"""For a field that is written only if its value differs from its default."""


def rounded(digits: int) -> dict[str, Callable[[Any], object]]:
    """Return the metadata of a number, of numbers by name, or of None, written with `digits` digits."""

    def change(value: Any) -> object:  # noqa: ANN401 - as said
        if isinstance(value, Mapping):
            return {name: round(number, digits) for name, number in value.items()}
        return None if value is None else round(value, digits)

    return {"change": change}


class WrongRecord(ValueError):
    """A record of another shape. Its text is the observation."""


@dataclass(frozen=True, slots=True)
class Must:
    """A field's condition in addition to its type: `Annotated[float, Must("above 0", is_positive)]`."""

    be: str
    holds: Callable[[Any], bool]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the condition once the type is right."""
        from pydantic_core import PydanticCustomError, core_schema  # noqa: PLC0415

        def check(value: object) -> object:
            if not self.holds(value):
                raise PydanticCustomError("must", "{be}", {"be": self.be})
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the condition in words."""
        return {**handler(schema), "description": self.be}


Natural = Annotated[int, Must("0 or more", lambda number: number >= 0)]
Positive = Annotated[float, Must("more than 0", lambda number: number > 0)]


def read_record(
    kind: type[Kind],
    path: Path,
    *,
    what: str,
    hint: str,
    expected: str = "",
) -> Kind | None:
    """Return the record in a file, or None without a file; raises `UsageProblem` for a damaged one."""
    try:
        return load_record(kind, path)
    except FileNotFoundError:
        return None
    except (OSError, WrongRecord) as error:
        raise UsageProblem.of_file(
            path, error, what=what, expected=expected or f"a readable {path.name}", hint=hint
        ) from None


def load_record(kind: type[Kind], path: Path) -> Kind:
    """Return the record in a file, see `parse_record`; raises `OSError` if it cannot be read."""
    return parse_record(kind, read_regular(path))


def load_lines(kind: type[Kind], path: Path) -> Iterator[Kind]:
    """Yield the records of a file, one a line, without a torn last line; nothing without a file."""
    if path.exists():
        for line in complete_lines(read_regular(path)).splitlines():
            yield parse_record(kind, line)


def parse_record(kind: type[Kind], data: bytes, *, more: bool = False) -> Kind:
    """Return the record in the JSON `data`; with `more`, names that the record lacks are allowed.

    Raises:
        WrongRecord: it is no JSON, or has another shape.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    try:
        hashable: Any = kind
        found: Kind = adapter_of(hashable).validate_json(data, extra="ignore" if more else "forbid")
    except ValidationError as error:
        raise WrongRecord(_mistake(error)) from None
    return found


def record_of(kind: type[Kind], value: object, *, more: bool = False) -> Kind:
    """Return the record in a value that was read from JSON, see `parse_record`."""
    try:
        line = json_line(value)
    except ValueError as error:
        raise WrongRecord(str(error)) from None
    return parse_record(kind, line, more=more)


def write_record(path: Path, record: object) -> None:
    """Write a record, whole or not at all; raises `OSError` if that fails."""
    write_whole(path, canonical_json(as_json(record)))


def sealed_json(record: object) -> bytes:
    """Return the JSON of a record with its SHA-256, which `read_sealed` compares."""
    content = as_json(record)
    return canonical_json({**content, _SHA256: _sha256_of(content)})


def read_sealed(kind: type[Kind], data: bytes) -> Kind:
    """Return the record that `sealed_json` wrote.

    Raises:
        WrongRecord: it was changed, is no JSON, or has another shape.
    """
    try:
        content = json.loads(data)
        changed = not isinstance(content, dict) or content.pop(_SHA256, None) != _sha256_of(content)
    except ValueError as error:
        raise WrongRecord(f"no JSON: {error}") from None
    if changed:
        raise WrongRecord("content that does not match its SHA-256")
    return record_of(kind, content)


def _sha256_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of all of a record's JSON but the SHA-256 itself."""
    others = {name: value for name, value in content.items() if name != _SHA256}
    return sha256(canonical_json(others)).hexdigest()


def as_json(value: Any) -> Any:  # noqa: ANN401 - whatever a record holds
    """Return a record as JSON can hold it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {name: as_json(item) for name, item in value.items()}
    if is_dataclass(kind):
        found = [(name, change, default, getattr(value, name)) for name, change, default in _fields(kind)]
        return {
            name: as_json(item if change is None else change(item))
            for name, change, default, item in found
            if default is MISSING or item != default
        }
    if isinstance(value, list | tuple):
        return as_json(value._asdict()) if hasattr(value, "_asdict") else list(map(as_json, value))
    return value.value if isinstance(value, Enum) else str(value)


@cache
def _fields(kind: Any) -> list[tuple[str, Callable[[Any], object] | None, object]]:  # noqa: ANN401 - a dataclass
    """Return each field's name, change, and the default that is left out."""
    return [
        (one.name, one.metadata.get("change"), one.default if "left out" in one.metadata else MISSING)
        for one in fields(kind)
    ]


@cache
def adapter_of(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a dataclass, or a container of some
    """Return pydantic's strict adapter of a record, made once."""
    from pydantic import ConfigDict, TypeAdapter  # noqa: PLC0415

    config = ConfigDict(strict=True, allow_inf_nan=False)
    if is_dataclass(kind):
        # An adapter of a dataclass takes its settings from there; parts without any have those of the whole.
        setattr(kind, "__pydantic_config__", config)  # noqa: B010 - a dataclass declares no such name
        return TypeAdapter(kind)
    return TypeAdapter(kind, config=config)


def _mistake(error: ValidationError) -> str:
    """Return the first mistake of a record: its place, observed value, and expected value."""
    first, *others = error.errors(include_url=False)
    where = _shown(".".join(map(str, first["loc"])) or "the record")
    expected = _shown(first["msg"].removeprefix("Input should be "))
    match first["type"]:
        case "missing":
            text = f"no {where}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            text = f"the unknown name {where}"
        case "json_invalid" | "value_error":
            text = expected.replace("Invalid JSON", "no JSON")
        case _:
            text = f"{_shown(repr(first['input']))} as {where}, not {expected}"
    return f"{text}, and {len(others)} more" if others else text


def _shown(text: str) -> str:
    """Return the beginning of `text`, without a secret: redacted before it is cut."""
    from rollproof.redaction.redactor import Redactor  # noqa: PLC0415

    return shortened(Redactor().text(text[:_LONGEST]), _SHOWN)
