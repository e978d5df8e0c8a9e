"""Records on disk: the one way to read and write a frozen dataclass.

The dataclass is the format: a field is a name in JSON. Reading is strict: it refuses repeated and unknown
names, values of another type, NaN and too large values, in words that quote no secret.
Pydantic is imported when the first record is read, and a reader is made once for each dataclass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from rollproof.errors import UsageProblem, expected_of, reason_of
from rollproof.reading import read_lined, read_regular
from rollproof.system.files import MOST_VALUES, canonical_json, complete_lines, json_value, write_whole

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
    from pydantic_core import ErrorDetails, SchemaValidator
    from pydantic_core.core_schema import CoreSchema

Kind = TypeVar("Kind")
_SHOWN = 40
_LONGEST_SECRET = 16 * 1024
_PLAIN = frozenset({str, int, float, bool, type(None)})

# Instructions for `as_json`, in a field's metadata.
LEFT_OUT = {"left out": True}
"""For a field that is written only if its value differs from its default."""


def written(change: Callable[[Any], object]) -> dict[str, Callable[[Any], object]]:
    """Return the metadata of a field whose value is written as `change` returns it."""
    return {"change": change}


def rounded(digits: int) -> dict[str, Callable[[Any], object]]:
    """Return the metadata of a number, of numbers by name, or of None, written with `digits` digits."""

    def change(value: Any) -> object:  # noqa: ANN401 - as said
        if isinstance(value, Mapping):
            return {name: round(number, digits) for name, number in value.items()}
        return None if value is None else round(value, digits)

    return written(change)


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


def or_text(make: Callable[[str], object], source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a record that may also be a text, which `make` turns into a record."""
    from pydantic_core import core_schema  # noqa: PLC0415

    text = core_schema.no_info_after_validator_function(make, core_schema.str_schema())
    return core_schema.union_schema([handler(source), text])


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
    """Return the record in a file, or None without a file.

    Raises:
        UsageProblem: it cannot be read, or has another shape.
    """
    try:
        return load_record(kind, path)
    except FileNotFoundError:
        return None
    except (OSError, WrongRecord) as error:
        raise UsageProblem(
            what=what,
            expected=expected_of(error, expected or f"a readable {path.name}"),
            observed=reason_of(error) if isinstance(error, OSError) else error,
            source=str(path),
            hint=hint,
        ) from None


def load_record(kind: type[Kind], path: Path, *, more: bool = False) -> Kind:
    """Return the record in a file; for `more` see `record_of`.

    Raises:
        OSError: it cannot be read. `WrongRecord`: it has another shape.
    """
    return parse_record(kind, read_regular(path), more=more)


def load_lines(kind: type[Kind], path: Path) -> Iterator[Kind]:
    """Yield the records of a file, one a line, without a torn last line; nothing without a file.

    Raises:
        OSError: it cannot be read. `WrongRecord`: a line has another shape.
    """
    if path.exists():
        for line in complete_lines(read_lined(path)).splitlines():
            yield parse_record(kind, line)


def parse_record(kind: type[Kind], data: bytes, *, more: bool = False, most: int = MOST_VALUES) -> Kind:
    """Return the record in `data`, of `most` values; raises `WrongRecord` for any other content."""
    try:
        value = json_value(data, most)
    except ValueError as error:
        raise WrongRecord(_shown(f"no JSON: {error}", 4 * _SHOWN)) from None
    return record_of(kind, value, more=more)


def record_of(kind: type[Kind], value: object, *, more: bool = False) -> Kind:
    """Return the record in the JSON `value`; with `more`, names that the record lacks are allowed.

    Raises:
        WrongRecord: it has another shape.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    hashable: Any = kind
    try:
        found: Kind = _validator(hashable).validate_python(value, extra="ignore" if more else "forbid")
    except ValidationError as error:
        # Another version explains all other errors.
        first, *others = sorted(error.errors(include_url=False), key=lambda one: one["loc"] != ("version",))
        further = f", and {len(others)} more" if others else ""
        raise WrongRecord(f"{_said(first)}{further}") from None
    return found


def write_record(path: Path, record: object) -> None:
    """Write a record, whole or not at all; raises `OSError` if that fails."""
    write_whole(path, canonical_json(as_json(record)))


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
    """Return pydantic's adapter of a record."""
    from pydantic import TypeAdapter  # noqa: PLC0415

    return TypeAdapter(kind)


@cache
def _validator(kind: object) -> SchemaValidator:
    from pydantic_core import SchemaValidator  # noqa: PLC0415

    return SchemaValidator(_strict(adapter_of(kind).core_schema))


def _strict(schema: Any) -> Any:  # noqa: ANN401 - a schema, or a part of one
    """Return `schema` with only the conversions that JSON needs: lists to tuples, texts to enums.

    Pydantic's own strict mode allows these only from its JSON parser. That parser does not notice a repeated
    name, and refuses half a character, as in a file name without UTF-8.
    """
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    if strict.get("type") in {"int", "float", "str", "bool"}:
        strict["strict"] = True
    if strict.get("type") == "float":
        strict["allow_inf_nan"] = False
    return strict


def _said(error: ErrorDetails) -> str:
    """Return the error in words: place, observed value, and expected value."""
    where = _shown(".".join(map(str, error["loc"])) or "the record", 2 * _SHOWN)
    match error["type"]:
        case "missing":
            return f"no {where}"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"the unknown name {where}"
        case "value_error":
            return _shown(str(error["ctx"]["error"]), 4 * _SHOWN)
        case "dataclass_type":
            expected = "an object"
        case _:
            expected = error["msg"].removeprefix("Input should be ")
    return f"{_value(error['input'])} as {where}, not {expected}"


def _value(value: object) -> str:
    match value:
        case dict():
            return f"an object of {len(value)} names"
        case list() | tuple():
            return f"a list of {len(value)}"
        case int() if value.bit_length() > _SHOWN:
            return "a large number"
    return _shown(repr(value), _SHOWN)


def _shown(text: str, most: int) -> str:
    """Return the beginning of `text`, without a secret."""
    from rollproof.redaction.redactor import Redactor  # noqa: PLC0415

    # Cut only after redaction, which would not recognise a part of a secret; but not a text of megabytes.
    clean = Redactor().text(text[: most + _LONGEST_SECRET])
    return clean if len(clean) <= most else f"{clean[:most]}…"
