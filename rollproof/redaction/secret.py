"""Secrets of a profile: read from a variable, a file or a program, never written in the profile."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr

from rollproof.errors import Wrong, reason_of, type_of
from rollproof.home import also_staging
from rollproof.reading import read_regular
from rollproof.redaction.secret_command import LARGEST_SECRET, printed

# Paths in a profile are relative to the profile, whatever the working directory is.
profile_directory: ContextVar[Path] = ContextVar("profile_directory")


# The system takes 255 and 4,096: what is written there has longer names.
_LONGEST_NAME = 230
_LONGEST_PATH = 3_072
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
# What a shell can export.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Every secret that this process has read or was issued, in that order.
_known: dict[str, None] = {}


def remember(secret: str) -> None:
    """Make every redactor of this process know `secret` from now on."""
    _known.setdefault(secret)


def known_secrets() -> tuple[str, ...]:
    """Return every secret that this process knows, in the order of learning; for redaction only."""
    return tuple(_known)


def _absolute(path: Path) -> Path:
    try:
        absolute = (profile_directory.get(Path.cwd()) / path.expanduser()).resolve()
    except RuntimeError as error:  # an unknown user after ~, or a cycle of links
        raise Wrong("a path", f"{error}: {path}") from None
    name, whole = max(len(os.fsencode(part)) for part in absolute.parts), len(os.fsencode(absolute))
    if name > _LONGEST_NAME:
        raise Wrong(f"a path whose names have at most {_LONGEST_NAME} bytes", f"one of {name:,} bytes")
    if whole > _LONGEST_PATH:
        raise Wrong(f"a path of at most {_LONGEST_PATH:,} bytes", f"one of {whole:,} bytes")
    return absolute


def _mode(path: Path) -> int | None:
    """Return the kind of file at `path`, or None without one; raises `Wrong` if nobody can tell."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Wrong("a path that can be reached", f"{reason_of(error)}: {path}") from None


def _existing(path: Path) -> Path:
    if _mode(path) is None:
        raise Wrong("a path that exists", str(path), missing=True)
    return path


def _no_pipe(path: Path) -> Path:
    mode = _mode(path)
    # Also for the programs and drivers that are given its name: none of them looks before it reads.
    if mode is not None and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise Wrong("a regular file", f"a pipe, a socket or a device: {path}")
    return path


def _file(path: Path) -> Path:
    if path.is_dir():
        raise Wrong("a regular file", f"a folder: {path}")
    return _no_pipe(path)


ProfilePath = Annotated[Path, AfterValidator(_absolute)]
ExistingPath = Annotated[ProfilePath, AfterValidator(_existing)]
ProfileFile = Annotated[ProfilePath, AfterValidator(_no_pipe)]
"""A file, which need not exist, and whose reader says so: it is no pipe or device, which may have no end."""
ExistingFile = Annotated[ExistingPath, AfterValidator(_file)]


def _read(source: object) -> SecretStr:
    secret = _secret(source)
    # Also for a profile that is refused for another error: its message comes later.
    remember(secret.get_secret_value())
    return secret


def _made(path: Path) -> str:
    """Return the command that makes the secret's file for its owner alone, or its folder first."""
    if path.parent.is_dir():
        return f"install -m 600 /dev/stdin {quote(str(path))}   # type the secret, then Ctrl-D"
    return (
        f"mkdir -p -m 700 {quote(str(path.parent))}   # for secrets{also_staging('those of a staging stack')}"
    )


def _of_variable(name: str) -> SecretStr:
    value = os.environ.get(name)
    if value is None and not _VARIABLE.fullmatch(name):
        # No shell can export it; and it may be the secret itself, so it is not shown.
        raise Wrong("a variable's name after env, of letters, digits and _", "another text")
    if not value:
        raise Wrong(
            f"the environment variable {name} to be set",
            "none" if value is None else "an empty one",
            missing=True,
            hint=f"type the secret, then Enter: read -rs {name} && export {name}",
        )
    return SecretStr(value)


def _secret(source: object) -> SecretStr:
    if isinstance(source, SecretStr):
        return source
    if not isinstance(source, Mapping) or len(source) != 1 or not {"env", "file", "command"} & set(source):
        expected = '{env = "VARIABLE"}, {file = "path"} or {command = ["program", "…"]}'
        raise Wrong(expected, type_of(source))
    ((kind, where),) = source.items()
    if kind == "command":
        if (
            not isinstance(where, list | tuple)
            or not where
            or not all(isinstance(w, str) for w in where)
            or not where[0]
        ):
            raise Wrong("a list of words, the program first", type_of(where))
        return SecretStr(printed(tuple(where), profile_directory.get(Path.cwd())))
    if not isinstance(where, str):
        raise Wrong(f"text after {kind}", type_of(where))
    if kind == "env":
        return _of_variable(where)
    path = _absolute(Path(where))
    try:
        text = read_regular(path, LARGEST_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(
            "a readable secret file",
            f"{reason_of(error)}: {path}",
            missing=isinstance(error, FileNotFoundError),
            hint=_made(path) if isinstance(error, FileNotFoundError) else "",
        ) from None
    if not text:
        raise Wrong("a secret", f"an empty file: {path}", hint=_made(path))
    return SecretStr(text)


def _address(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    scheme, separator, rest = text.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme.lower()) or not rest.strip("/"):
        raise Wrong(
            "the address of a channel, SCHEME://…, as Apprise has it",
            f"text of {len(text)} characters that is none",
            hint="see https://github.com/caronc/apprise/wiki for the addresses of each service",
        )
    return secret


Secret = Annotated[SecretStr, BeforeValidator(_read)]
Channel = Annotated[Secret, AfterValidator(_address)]
"""The URL of a channel to people: a secret, since tokens are in it."""


def secrets_in(value: object) -> Iterator[str]:
    """Yield the plain text of every secret inside a profile; for redaction and the last scan only."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item)
