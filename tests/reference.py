"""`python -m tests.reference`: writes the pages of `docs/reference` that are made from code.

`tests/unit/house/test_reference.py` is red if a profile's model, a command or a metric was changed and this
was not run again.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from prometheus_client.metrics_core import Metric
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from rollproof.cli.command_line import app
from rollproof.errors import EXIT_CODES_TEXT
from rollproof.home import COMMAND
from rollproof.incident.samples import SampleWriter, samples_path
from rollproof.monitoring.monitor_metrics import MonitorMetrics
from rollproof.profile.profile import Target, load_target
from rollproof.profile.sections import StoreProfile
from tests.conftest import ROOT, write_profile
from tests.unit.made_samples import requests, samples, value

FOLDER = ROOT / "docs" / "reference"
_WRITTEN = "<!-- Written by `./run schemas`: change the code that it is made from. -->"
# A longer default stands below its table.
_LONGEST = 70

Schema = Mapping[str, Any]


# The profile.


def meanings_of_fields(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field of a model means, by its docstring there or in a base.

    Pydantic can read them too, but only while it makes the class: that would cost every start of the suite.
    """
    meanings: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or not base.__module__.startswith("rollproof."):
            continue
        tree = ast.parse(Path(inspect.getfile(base)).read_text(encoding="utf-8"))
        (body,) = (n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == base.__name__)
        for field, after in pairwise(body):
            if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                meanings[field.target.id] = inspect.cleandoc(str(after.value.value))
    return meanings


def models() -> dict[str, type[BaseModel]]:
    """Return every model of a profile, by its name in the JSON Schema."""
    schema = Target.model_json_schema()
    found: dict[str, type[BaseModel]] = {"Target": Target}
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        several: list[type[BaseModel]] = waiting.pop().__subclasses__()
        for model in several:
            waiting.append(model)
            if model.__module__.startswith("rollproof.") and model.__name__ in schema["$defs"]:
                found[model.__name__] = model
    return found


@dataclass(frozen=True)
class _Section:
    """A table of a profile: its name there, its model, and where it is nested."""

    name: str
    model: str

    @property
    def anchor(self) -> str:
        """The anchor of its heading, as Markdown makes it."""
        return "".join(c for c in self.name.lower().replace(" ", "-") if c.isalnum() or c in "_-")

    @property
    def heading(self) -> str:
        """Its heading: names are code, words are not."""
        name, space, rest = self.name.partition(" ")
        return f"`{name}`{space}{rest}" if name.startswith("[") else self.name


class _Pages:
    """The page of a profile's keys, from the JSON Schema of its models."""

    def __init__(self) -> None:
        self._schema: Schema = _with_enumerations_inside(Target.model_json_schema())
        self._definitions: Mapping[str, Schema] = self._schema["$defs"]
        self._of_every_store: Schema = _with_enumerations_inside(StoreProfile.model_json_schema())
        self._models: dict[str, type[BaseModel]] = {**models(), StoreProfile.__name__: StoreProfile}
        used = Counter(
            name
            for owner in (self._schema, *self._definitions.values())
            for field in owner["properties"].values()
            for name in _referenced(field)
        )
        self._kinds = sorted(
            name for name in self._definitions if "kind" in self._definitions[name]["properties"]
        )
        self._kinds.remove("Engine")
        # What several keys hold, or a pattern of names does not reach, is described once, as a value.
        self._values = {name for name, count in used.items() if count > 1} - {*self._kinds}
        self._sections = list(self._walk("", "Target"))

    def page(self) -> str:
        """Return the page."""
        lines = [
            "# The profile's keys",
            "",
            _WRITTEN,
            "",
            _ABOUT,
            "",
            *(f"- [{section.heading}](#{section.anchor})" for section in self._sections),
            "- Values: "
            + ", ".join(
                f"[{_words(name)}](#{_words(name).replace(' ', '-')})" for name in sorted(self._values)
            ),
        ]
        for section in self._sections:
            lines += ["", f"## {section.heading}", *self._described(section.model, prefix=section.name)]
        lines += ["", "## A secret", "", _SECRETS]
        for name in sorted(self._values):
            lines += ["", f"## {_words(name).capitalize()}", *self._described(name, prefix="")]
        return "\n".join(lines) + "\n"

    def _walk(self, path: str, model: str, *, one_of_many: bool = False) -> Iterator[_Section]:
        """Yield a table of a profile and those in it, in the order of their fields."""
        heading = f"[[{path}]]" if one_of_many else f"[{path}]" if path else "Top of the file"
        yield _Section(heading, model)
        for name, field in self._definition(model)["properties"].items():
            place = f"{path}.{name}".lstrip(".")
            if name == "stores" and model == "Target":
                yield _Section("[stores.NAME]", StoreProfile.__name__)
                for kind in self._kinds:
                    yield _Section(f"[stores.NAME] of kind {self._kind(kind)}", kind)
                continue
            for inner in _referenced(field):
                if inner in self._values:
                    continue
                by_name = ".NAME" if field.get("type") == "object" else ""
                yield from self._walk(f"{place}{by_name}", inner, one_of_many=field.get("type") == "array")

    def _definition(self, model: str) -> Schema:
        whole = {"Target": self._schema, StoreProfile.__name__: self._of_every_store}
        return whole.get(model) or self._definitions[model]

    def _kind(self, model: str) -> str:
        return str(self._definitions[model]["properties"]["kind"]["const"])

    def _described(self, model: str, *, prefix: str) -> list[str]:
        schema, meanings = self._definition(model), meanings_of_fields(self._models[model])
        text = inspect.cleandoc(self._models[model].__doc__ or "").replace("``", "`")
        lines = ["", text, "", "| key | value | default | meaning |", "|---|---|---|---|"]
        below = []
        for name, field in schema["properties"].items():
            if model in self._kinds and self._is_of_every_store(name, schema):
                continue
            default = self._default(name, schema)
            if len(default) > _LONGEST:
                below += ["", f"Default of `{name}`:", "", "```toml", f"{name} = {default.strip('`')}", "```"]
                default = "below"
            meaning = meanings.get(name, "").replace("\n\n", " ").replace("\n", " ")
            cells = (f"`{name}`", self._kind_of(field, prefix), default, meaning)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        return lines + below

    def _is_of_every_store(self, name: str, schema: Schema) -> bool:
        every = self._of_every_store
        needed = name in schema.get("required", ()), name in every["required"]
        return schema["properties"][name] == every["properties"].get(name) and needed[0] == needed[1]

    def _default(self, name: str, schema: Schema) -> str:
        if name in schema.get("required", ()):
            return "must be given"
        default = schema["properties"][name].get("default")
        if isinstance(default, Mapping) and name not in {"where", "policy", "touched", "exclude"}:
            whole = {*_referenced(schema["properties"][name])} - self._values
            # The defaults of a table are in its own section.
            return "see there" if whole else f"`{_toml(default)}`"
        return "none" if default is None else f"`{_toml(default)}`"

    def _kind_of(self, field: Schema, prefix: str) -> str:
        """Return in words which values a field takes."""
        if "anyOf" in field:
            given = [one for one in field["anyOf"] if one != {"type": "null"}]
            return " or ".join(self._kind_of(one, prefix) for one in given)
        if "$ref" in field:
            return self._linked(next(_referenced(field)), prefix)
        if "enum" in field or "const" in field:
            return " or ".join(f"`{one}`" for one in field.get("enum", [field.get("const")]))
        return self._typed(field, prefix)

    def _linked(self, model: str, prefix: str) -> str:
        if model in self._values:
            return f"[{_words(model)}](#{_words(model).replace(' ', '-')})"
        return f"[table](#{self._section_of(model, prefix).anchor})"

    def _typed(self, field: Schema, prefix: str) -> str:
        kind = str(field.get("type", "any value"))
        if kind == "array":
            return f"list of {self._kind_of(field['items'], prefix)}" if "items" in field else "empty list"
        if kind == "object":
            patterns: Mapping[str, Schema] = field.get("patternProperties", {})
            inner = field.get("additionalProperties") or next(iter(patterns.values()), {})
            if inner is True:
                return "table"
            if "oneOf" in inner:
                return "tables, by name, one for each store"
            return f"by name: {self._kind_of(inner, prefix)}" if inner else "table"
        words = _FORMATS.get(str(field.get("format")), _TYPES.get(kind, "none"))
        return _constrained(words, field)

    def _section_of(self, model: str, prefix: str) -> _Section:
        within = prefix.strip("[]")
        found = [section for section in self._sections if section.model == model]
        return next((section for section in found if section.name.strip("[]").startswith(within)), found[0])


_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
_FORMATS = {
    "password": "[secret](#a-secret)",
    "path": "path",
    "file-path": "path",
    "uri": "URL",
    "date": "day",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}
_ABOUT = (
    "A profile is a TOML file. A path in it is relative to the profile. A key without a default must be"
    " given. `ROLLPROOF_` variables override single keys, with `__` between tables:"
    " `ROLLPROOF_APPLICATION__URL`. An unknown key is refused."
)
_METRICS = (
    "What `monitor --prometheus-port PORT` exports. Values are in their own units; an unknown one is"
    " left out, or NaN. [Monitoring](../howto/monitoring.md) has alerts and a dashboard that use all of them."
)
_SECRETS = (
    'A profile names secrets, and holds none: `{env = "VARIABLE"}`, `{file = "path"}` or'
    ' `{command = ["program", "argument"]}`. A file of one is a regular file of at most 64 KiB.'
)


def _constrained(words: str, field: Schema) -> str:
    bounds = [f"{said} {field[bound]:,}" for bound, said in _BOUNDS.items() if bound in field]
    pattern = [f"like `{field['pattern']}`"] if "pattern" in field else []
    return ", ".join([words, *bounds, *pattern])


def _with_enumerations_inside(schema: Schema) -> Schema:
    """Return a schema in which each field of an enumeration says its values itself."""
    enumerations = {name: one for name, one in schema["$defs"].items() if "enum" in one}
    text = json.dumps(
        {**schema, "$defs": {k: v for k, v in schema["$defs"].items() if k not in enumerations}}
    )
    for name, one in enumerations.items():
        text = text.replace(json.dumps({"$ref": f"#/$defs/{name}"}), json.dumps({"enum": one["enum"]}))
    found: Schema = json.loads(text)
    return found


def _referenced(field: Schema) -> Iterator[str]:
    """Yield the models that a field holds, each once."""
    text = json.dumps(
        {name: part for name, part in field.items() if name not in {"default", "discriminator"}}
    )
    yield from dict.fromkeys(part.partition('"')[0] for part in text.split("#/$defs/")[1:])


def _words(model: str) -> str:
    """Return a model's name in words: ``ApiKey`` is an api key."""
    return "".join(f" {c.lower()}" if c.isupper() else c for c in model).strip()


def _toml(default: object) -> str:
    if isinstance(default, Mapping):
        return (
            f"{{{', '.join(f'{name} = {_toml(one)}' for name, one in default.items() if one is not None)}}}"
        )
    if isinstance(default, float):
        return f"{default:g}"
    return json.dumps(default)


# The command line.


def _commands_page() -> str:
    group = typer.main.get_command(app)
    context = typer.Context(group, info_name=COMMAND, help_option_names=["-h", "--help"])
    text = get_docs_for_click(obj=group, ctx=context, name=COMMAND, title="The command line")
    title, _, rest = text.partition("\n")
    # The exit codes stand at the end of each help; there is a page of them.
    body = re.sub(r"\n{3,}", "\n\n", rest.replace(EXIT_CODES_TEXT, "")).rstrip()
    return f"{title}\n\n{_WRITTEN}\n{body}\n"


# The metrics.


def every_metric(folder: Path) -> list[Metric]:
    """Return what a monitor exports that sees everything: its target's profile is made in `folder`."""
    target = load_target(write_profile(folder))
    probes = {"requests": requests(errors=5, log_ins=4, failed=1), "health": value(20, ratio=1.5)}
    (sample,) = samples(1, lambda _: probes, target="sandbox")
    metrics = MonitorMetrics(target)
    path = samples_path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(SampleWriter(path)) as writer:
        writer.write(sample)
    metrics.show(sample)
    return list(metrics.collect())


def exported(found: Sequence[Metric]) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Return the type, the meaning and the labels of each exported name."""
    return {
        sample.name: (metric.type, metric.documentation, tuple(sample.labels))
        for metric in found
        for sample in metric.samples
    }


def _metrics_page() -> str:
    with tempfile.TemporaryDirectory() as folder:
        found = exported(every_metric(Path(folder)))
    lines = [
        "# Metrics",
        "",
        _WRITTEN,
        "",
        _METRICS,
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"
        for name, (kind, text, labels) in found.items()
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """Return each page, by file name."""
    return {"profile.md": _Pages().page(), "commands.md": _commands_page(), "metrics.md": _metrics_page()}


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
