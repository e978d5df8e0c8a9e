"""Secrets of a profile: read from a variable, a file or a program, never written in the profile."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, partial
from pathlib import Path
from shlex import quote
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, SecretStr

from rollproof.errors import ProfileMistake, Unverifiable, reason_of, type_of
from rollproof.reading import read_regular

LARGEST_SECRET = 64 * 1024
"""Bytes of a secret, from a program or a file."""
SECONDS = 30.0
"""The time that a program has to print a secret."""
# Paths in a profile are relative to the profile, whatever the working directory is.
profile_directory: ContextVar[Path] = ContextVar("profile_directory")
secrets_when_used: ContextVar[bool] = ContextVar("secrets_when_used", default=False)
"""Whether a secret of a profile is read when it is used, so that a missing one is an error only then."""

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
        return (profile_directory.get(Path.cwd()) / path.expanduser()).resolve()
    except RuntimeError as error:  # an unknown user after ~
        raise ProfileMistake("a path", f"{error}: {path}") from None


def in_profile_directory(name: str) -> Path:
    """Return the path `name` below the folder of the profile that is being loaded."""
    return _absolute(Path(name))


def _existing(path: Path) -> Path:
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder may not be searched
        raise ProfileMistake("a path that exists", str(path))
    return path


def _file(path: Path) -> Path:
    if not path.is_file():
        raise ProfileMistake("a regular file", f"a folder, a pipe or a device: {path}")
    return path


ProfilePath = Annotated[Path, AfterValidator(_absolute)]
ExistingPath = Annotated[ProfilePath, AfterValidator(_existing)]
ExistingFile = Annotated[ExistingPath, AfterValidator(_file)]


class UnreadSecret(SecretStr):
    """A secret that is read when it is used."""

    def __init__(self, name: str, read: Callable[[], SecretStr]) -> None:
        """Take the `name` of its source, for errors, and what reads it."""
        super().__init__("")
        self._name = name
        self._read = read

    def __bool__(self) -> bool:
        """Return True: no secret is empty."""
        return True

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same object: to compare secrets would read them."""
        return self is other

    def __hash__(self) -> int:
        """Return a hash that reads nothing."""
        return id(self)

    def get_secret_value(self) -> str:
        """Read the secret, and make every redactor of this process know it.

        Raises:
            Unverifiable: it cannot be read.
        """
        try:
            secret = self._read().get_secret_value()
        except ProfileMistake as wrong:
            raise Unverifiable(
                what=f"secret {self._name}",
                expected=wrong.expected,
                observed=wrong.observed,
                source="the profile",
                hint=wrong.hint or "correct it in the profile",
            ) from None
        remember(secret)
        return secret


def _read(source: object) -> SecretStr:
    if isinstance(source, SecretStr):
        return source
    name, read, quick = _source_of(source)
    if secrets_when_used.get():
        unread = UnreadSecret(name, read)
        with suppress(Unverifiable):
            # A redactor is to know as many secrets as it can, from the beginning.
            _ = unread.get_secret_value() if quick else ""
        return unread
    secret = read()
    # Also for a profile that is refused for another error: its message comes later.
    remember(secret.get_secret_value())
    return secret


def _source_of(source: object) -> tuple[str, Callable[[], SecretStr], bool]:
    """Return the name of a secret's source, what reads it, and whether that takes no time."""
    match source:
        case {"env": str(name), **others} if not others:
            if name not in os.environ and not _VARIABLE.fullmatch(name):
                # No shell can export it; and it may be the secret itself, so it is not shown.
                raise ProfileMistake("a variable's name after env, of letters, digits and _", "another text")
            return name, partial(_of_variable, name), True
        case {"file": str(file), **others} if not others:
            path = _absolute(Path(file))
            return str(path), partial(_of_file, path), True
        case {"command": [str(), *_] as words, **others} if not others and all(
            isinstance(word, str) for word in words
        ):
            folder = profile_directory.get(Path.cwd())
            return str(words[0]), lambda: SecretStr(printed(tuple(words), folder)), False
    raise ProfileMistake(
        '{env = "VARIABLE"}, {file = "path"} or {command = ["program", "…"]}', type_of(source)
    )


def _of_variable(name: str) -> SecretStr:
    value = os.environ.get(name)
    if not value:
        raise ProfileMistake(
            f"the environment variable {name} to be set",
            "none" if value is None else "an empty one",
            hint=f"type the secret, then Enter: read -rs {name} && export {name}",
        )
    return SecretStr(value)


@cache
def printed(command: tuple[str, ...], folder: Path) -> str:
    """Return what `command`, started in `folder`, prints: once a process, however many profiles ask.

    It is started below `rollproof.system.command`, which needs the profile's secrets for its messages. What
    it prints is never shown, nor what else it says.
    """
    hint = "run it by hand: its own words are not shown here, since they may hold the secret"
    wrong = partial(ProfileMistake, "a program that prints the secret", hint=hint)
    # In memory, not a pipe: a program that it has started may keep a pipe open.
    with os.fdopen(os.memfd_create("secret"), "w+b") as output:
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, ValueError) as error:
            raise wrong(f"{reason_of(error)}: {command[0]}") from None
        except subprocess.TimeoutExpired:
            raise wrong(f"{command[0]} still running after {SECONDS:g} s") from None
        output.seek(0)
        data = output.read(LARGEST_SECRET + 1)
    if ended.returncode != 0:
        raise wrong(f"exit code {ended.returncode} of {command[0]}")
    text = data.decode(errors="replace").strip()
    if not text or len(data) > LARGEST_SECRET or "\N{REPLACEMENT CHARACTER}" in text:
        raise wrong(f"nothing, no UTF-8, or more than {LARGEST_SECRET:,} bytes from {command[0]}")
    return text


def _of_file(path: Path) -> SecretStr:
    made = f"install -D -m 600 /dev/stdin {quote(str(path))}   # type the secret, then Ctrl-D"
    try:
        text = read_regular(path, LARGEST_SECRET).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        hint = made if isinstance(error, FileNotFoundError) else ""
        raise ProfileMistake("a readable secret file", f"{reason_of(error)}: {path}", hint=hint) from None
    if not text:
        raise ProfileMistake("a secret", f"an empty file: {path}", hint=made)
    return SecretStr(text)


Secret = Annotated[SecretStr, BeforeValidator(_read)]


def secrets_in(value: object) -> Iterator[str]:
    """Yield the plain text of every secret inside a profile; for redaction and the last scan only."""
    if isinstance(value, UnreadSecret):
        return  # every redactor knows it as soon as it is read
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
