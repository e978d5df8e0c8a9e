"""Reading a compose project's files by compose itself, which needs no engine for that."""

from __future__ import annotations

import json
import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from dotenv import dotenv_values

from rollproof.errors import ActionFailed, UsageProblem, expected_of, plain, reason_of
from rollproof.init.stack import Stack, stack_of
from rollproof.reading import read_regular
from rollproof.system.command import (
    ERROR_TAIL_BYTES,
    Deadline,
    inherited,
    last_lines,
    run_command,
    run_program,
)

LARGEST_BYTES = 1024 * 1024
"""The largest compose file that is read: a larger one is something else."""
_MOST_NODES = 200_000
"""Values in a compose file after every alias was followed: compose itself takes minutes for many more."""
_SECONDS = 30.0
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAMED = re.compile(r"\$\{?([A-Za-z_]\w*)")
# A shorter value is no secret, and may be a part of any word.
_SECRET_LENGTH = 4
# What compose quotes after these words is the raw text of a value.
_QUOTES = re.compile(r"(quoted value|variable name) .*")


def read_stack(files: Sequence[Path], project: str | None, env_file: Path | None) -> Stack:
    """Return the project that `files` describe, under the name that they or `project` give it.

    Services that only a compose profile brings up are in it, and marked.

    Raises:
        UsageProblem: a file is none that compose should read, or compose refuses them.
    """
    # Resolved only as far as its folder: a link may stand for another file tomorrow.
    files = tuple(Path(os.path.abspath(file)) for file in files)  # noqa: PTH100 - keeps links
    texts = [_checked(file) for file in files]
    environment = Path(os.path.abspath(env_file)) if env_file else None  # noqa: PTH100
    if environment is not None:
        _text(environment)
    command = ["docker", "compose", *(["--project-name", project] if project else [])]
    command += ["--env-file", str(environment)] if environment else []
    command += [word for file in files for word in ("--file", str(file))]
    command += ["--profile", "*", "config"]
    try:
        said = run_command(
            [*command, "--format", "json"],
            what="reading of compose files",
            deadline=Deadline(_SECONDS),
            private=True,  # it contains the containers' environment
        )
        config = json.loads(said)
    except (ActionFailed, ValueError):
        env = environment or files[0].parent / ".env"
        given = dotenv_values(env, interpolate=False) if env.is_file() else {}
        named = {*_NAMED.findall("\n".join(texts)), *given}
        raise UsageProblem(
            what="compose files",
            expected="files that compose can read",
            observed=_last_words(command, named, {**given, **os.environ}),
            source=", ".join(str(file) for file in files),
            hint="correct them, or name the file of the environment with --env-file,"
            f" until this says nothing: {shlex.join([*command, '--quiet'])}",
        ) from None
    return stack_of(config, project or str(config["name"]), files, environment)


def _last_words(command: Sequence[str], named: set[str], values: Mapping[str, str | None]) -> str:
    """Return the last line of compose's complaint, in which the variables `named` stand for their values."""
    with tempfile.TemporaryFile() as errors:
        run_program(
            [*command, "--quiet"], Deadline(_SECONDS), output=None, errors=errors, environment=inherited()
        )
        lines = [line for line in plain(last_lines(errors, ERROR_TAIL_BYTES)).splitlines() if line.strip()]
    # After this one, the last line is the raw text of a value.
    interpolation = [line for line in lines if "interpolation format" in line]
    said = (interpolation or lines or ["that it refuses them"])[-1].strip()
    said = _QUOTES.sub(r"\1 …", said)
    for value, name in sorted(
        ((values.get(name) or "", name) for name in named), key=lambda one: -len(one[0])
    ):
        said = said.replace(value, f"${{{name}}}") if len(value) >= _SECRET_LENGTH else said
    return said


def _checked(file: Path) -> str:
    """Return the text of a compose file that compose can read in bounded time and memory."""
    text = _text(file)
    try:
        sizes: dict[int, int] = {}
        count = sum(_size(root, sizes) for root in yaml.compose_all(text, Loader=_LOADER) if root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise _problem(file, "a document of YAML", f"none{place}") from None
    if count > _MOST_NODES:
        raise _problem(file, f"at most {_MOST_NODES:,} values", "more, after every alias was followed")
    if not count:
        raise _problem(file, "services", "an empty document")
    return text


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return the number of values in a node after following aliases; a node in itself has no end."""
    if id(node) in sizes:
        if sizes[id(node)] < 0:
            raise ValueError("a document that contains itself")
        return sizes[id(node)]
    sizes[id(node)] = -1
    if isinstance(node, yaml.SequenceNode):
        found = 1 + sum(_size(one, sizes) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        found = 1 + sum(_size(key, sizes) + _size(value, sizes) for key, value in node.value)
    else:
        found = 1
    sizes[id(node)] = found
    return found


def _text(file: Path) -> str:
    try:
        if file.exists() and not file.is_file():
            raise _problem(file, "a regular file", "a folder" if file.is_dir() else "no regular file")
        return read_regular(file, LARGEST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _problem(file, expected_of(error, "a readable file"), reason_of(error)) from None


def _problem(file: Path, expected: str, observed: str) -> UsageProblem:
    return UsageProblem(
        what="compose file",
        expected=expected,
        observed=observed,
        source=str(file),
        hint="give the compose files of the project: --file docker-compose.yml",
    )
