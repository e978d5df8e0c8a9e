"""A compose file as a document: what it says, read without compose, and the environment files that it names.

Compose itself would put everything in its place; it does not say any more what it has read it from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from fixtures.errors import UsageProblem

_MERGED = "<<"
_VARIABLE = re.compile(
    r"\$\$|\$(?P<bare>[A-Za-z_]\w*)"
    r"|\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<sign>:?[-+?])(?P<other>(?:[^{}]|\{[^{}]*\})*))?\}",
    re.ASCII,
)


def read_document(file: Path, source: str) -> yaml.Node:
    """Return the document in `file`, which is known as `source`; tags of compose's own stay what they are.

    Raises:
        UsageProblem: it is not one of YAML. `OSError`: it cannot be read.
    """
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if root is not None:
            said_by(root)  # one that contains itself has no end
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageProblem(
            what="compose file",
            expected="a document of YAML",
            observed=type(error).__name__,
            source=source,
            hint="correct it and commit that, or roll back by another commit: rollback full COMMIT",
        ) from None
    return yaml.MappingNode("tag:yaml.org,2002:map", []) if root is None else root


def said_by(node: yaml.Node) -> Any:  # noqa: ANN401 - whatever the document says
    """Return what `node` says: mappings, with what is merged into them, lists, and text for all else."""
    if isinstance(node, yaml.SequenceNode):
        return [said_by(one) for one in node.value]
    if not isinstance(node, yaml.MappingNode):
        return str(node.value)
    found: dict[str, Any] = {}
    for key, value in node.value:
        if key.value == _MERGED:
            several = value.value if isinstance(value, yaml.SequenceNode) else [value]
            # Of those the first has the last word, and what the mapping says itself comes before all.
            for one in several:
                found = {**mapping(said_by(one)), **found}
    return found | {str(key.value): said_by(value) for key, value in node.value if key.value != _MERGED}


def with_environment(root: yaml.Node, instead: Mapping[str, Path]) -> str:
    """Return the text of the document `root`, which is changed: other environment files in it."""
    for node in _environment_files(root):
        if node.value in instead:
            node.value = str(instead[node.value])
    return str(yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True))


def _environment_files(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """Yield the names of environment files; `environment` holds variables, of whatever names."""
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _environment_files(one)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "env_file":
                yield from _names(value)
            elif key.value != "environment":
                yield from _environment_files(value)


def _names(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            yield from _names(one)
    else:
        for key, value in node.value:
            if key.value == "path":
                yield value


def interpolated(text: str, variables: Mapping[str, str | None]) -> str:
    """Return `text` with the values of `variables` in their places, as compose puts them."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        known = variables.get(found["bare"] or found["name"])
        sign, other = found["sign"] or "", interpolated(found["other"] or "", variables)
        there = bool(known) if sign.startswith(":") else known is not None
        if sign.endswith("+"):
            return other if there else ""
        return (known or "") if there or not sign.endswith("-") else other

    return _VARIABLE.sub(value, text)


def mapping(said: object) -> Mapping[str, Any]:
    """Return a mapping that a document says, an empty one where it says something else."""
    return said if isinstance(said, dict) else {}


def entries(said: object) -> list[Any]:
    """Return what a document says once, or in a list."""
    if isinstance(said, list):
        return said
    return [said] if said else []
