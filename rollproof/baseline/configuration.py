"""Containers, engine and working copy: recorded, and compared with what was recorded.

A value that may be secret is recorded and shown as a keyed hash alone: a plain hash of a weak password is
found by guessing. The key is never in a baseline: it is derived from the profile's `baseline_key`, or lies on
this machine next to the folder of baselines, in ``BASELINES.key``. On another machine the configuration can
be compared where the profile has the `baseline_key`, or that file was copied. Else the comparison is broken.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from rollproof.baseline.facts import RecordedContainer, Surroundings
from rollproof.collection import Json
from rollproof.engines.engine import (
    Container,
    ContainerEngine,
    EngineUnreached,
    Inside,
    Stranger,
)
from rollproof.errors import Unverifiable, reason_of, shown
from rollproof.git.repository import WorkingCopy
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.system.files import make_folders, write_whole

_BYTES = 32
_PURPOSE = b"rollproof: configuration of containers"
_DIGITS = 8


class ConfigurationKey:
    """Makes keyed hashes with one key."""

    def __init__(self, key: bytes) -> None:
        """Keep `key`, at least 32 random bytes or what was derived from a secret."""
        self._key = key

    @property
    def id(self) -> str:
        """Name the key: equal for equal keys, and of no use to find it."""
        return hmac.new(self._key, b"id", "sha256").hexdigest()[:16]

    def __call__(self, name: str, content: Iterable[bytes]) -> str:
        """Return the keyed hash of `content`, different for the same content under another name."""
        digest = hmac.new(self._key, name.encode(errors="surrogateescape") + b"\0", "sha256")
        for block in content:
            digest.update(block)
        return digest.hexdigest()

    def texts(self, texts: Mapping[str, SecretStr], of: str = "") -> dict[str, str]:
        """Return the keyed hash of each of `texts`, by name; `of` is part of what is hashed."""
        return {name: self(of + name, [text.get_secret_value().encode()]) for name, text in texts.items()}


def new_configuration_key(target: Target) -> ConfigurationKey:
    """Return the key of a capture; make this machine's key if the profile has none and there is none.

    Raises:
        Unverifiable: the key's file cannot be read or written, or holds no key.
    """
    path = _path(target)
    if target.baseline_key is None and not path.exists():
        try:
            make_folders(path.parent)
            write_whole(path, secrets.token_bytes(_BYTES).hex().encode())
        except OSError as error:
            raise _unusable(path, reason_of(error)) from None
    return configuration_key_of(target)


def configuration_key_of(target: Target, known: str = "") -> ConfigurationKey:
    """Return the key that the configuration of `target` is hashed with here, if it is the `known` one.

    Raises:
        Unverifiable: there is no key here, or another one, so that nothing can be compared.
    """
    path = _path(target)
    if target.baseline_key is not None:
        key = hmac.new(target.baseline_key.get_secret_value().encode(), _PURPOSE, "sha256").digest()
    else:
        try:
            key = bytes.fromhex(read_regular(path).decode("ascii"))
        except (OSError, ValueError) as error:
            raise _unusable(path, reason_of(error)) from None
    found = ConfigurationKey(key)
    if len(key) != _BYTES:
        raise _unusable(path, f"{len(key)} bytes")
    if known not in {"", found.id}:
        source = path if target.baseline_key is None else "baseline_key of the profile"
        raise _unusable(source, f"key {found.id}", f"key {known}, as at the capture")
    return found


def _path(target: Target) -> Path:
    baselines = target.folders.baselines
    return baselines.with_name(f"{baselines.name}.key")


def _unusable(
    source: Path | str, observed: str, expected: str = f"{_BYTES} bytes in hexadecimal digits"
) -> Unverifiable:
    return Unverifiable(
        what="key of the configuration",
        expected=expected,
        observed=observed,
        source=str(source),
        hint="verify on the machine that captured, copy its key file to this one, or give the profile a"
        " baseline_key and capture again",
    )


def record_container(container: Container, inside: Inside, key: ConfigurationKey) -> RecordedContainer:
    """Return `container` in the form that a baseline holds."""
    return RecordedContainer(
        service=container.service,
        name=container.name,
        image=container.image,
        image_id=container.image_id,
        revision=container.revision,
        configuration=container.configuration,
        volumes=tuple(mount.name for mount in container.mounts if mount.kind == "volume"),
        id=container.id,
        restarts=container.restarts,
        completed=container.completed,
        settings=container.settings,
        private=key.texts(container.private),
        inside=inside,
        places=tuple(sorted(mount.destination for mount in container.mounts)),
        health_seconds=container.health_seconds,
    )


def setting_differences(
    recorded: RecordedContainer, container: Container, inside: Inside, key: ConfigurationKey
) -> Iterator[str]:
    """Yield each difference between the configuration as recorded and now, both sides in words."""
    yield from differences(recorded.settings, container.settings, shown_json)
    before = {**recorded.private, **_files(recorded.inside)}
    yield from differences(before, {**key.texts(container.private), **_files(inside)}, shown_hash)


def _files(inside: Inside) -> dict[str, str]:
    """Return the keyed hashes of the files that compose binds to a container."""
    return {f"file {path}": text for path, text in inside.bound.items()}


def inside_differences(recorded: Inside, inside: Inside) -> Iterator[str]:
    """Yield each change in a container's own layer that was not there at the capture.

    A change that was recorded may be absent now: a rollback re-creates containers. A new file or folder is
    expected where the container had made files before the capture, and in a folder that it made.
    """
    for path, now in inside.modified.items():
        if path not in recorded.modified:
            yield f"modified {path}"
        elif now != recorded.modified[path]:
            yield f"{path}: {shown_hash(recorded.modified[path])} at the capture, {shown_hash(now)} now"
    yield from (f"added {path}" for path in _new_in_layer(recorded, inside.added))
    yield from (f"deleted {path}" for path in inside.deleted if path not in recorded.deleted)


def _new_in_layer(recorded: Inside, added: Iterable[str]) -> Iterator[str]:
    """Yield the `added` paths that were not recorded, nor are expected.

    A layer names each folder that is new. So below another folder of the image than those where the container
    had made files, nothing is expected, however deep.
    """
    folders = {path.rpartition("/")[0] for path in recorded.added} - {""} | set(recorded.added)
    for path in sorted(added):  # a folder comes before what is in it
        if path in recorded.added:
            continue
        if path.rpartition("/")[0] in folders:
            folders.add(path)
        else:
            yield path


def unexpected(recorded: Sequence[str], paths: Iterable[str]) -> Iterator[str]:
    """Yield the `paths` that were not recorded, nor are in a folder that one of `recorded` was in or is."""
    folders = {path.rpartition("/")[0] for path in recorded if "/" in path.strip("/")}
    for path in paths:
        if path not in recorded and folders.union(recorded).isdisjoint(_above(path)):
            yield path


def _above(path: str) -> list[str]:
    """Return the folders that `path` is in."""
    return [path[:end] for end, letter in enumerate(path) if letter == "/" and end]


def record_surroundings(engine: ContainerEngine, copy: WorkingCopy, key: ConfigurationKey) -> Surroundings:
    """Return what is around the containers in the form that a baseline holds."""
    try:
        engine_id = engine.id()
    except EngineUnreached:
        raise
    except Unverifiable:  # it answers without one, as a proxy may have it
        engine_id = ""
    return Surroundings(
        key=key.id,
        strangers=tuple(one.name for one in engine.strangers()),
        changed=copy.of_tracked,
        untracked=copy.untracked,
        engine=engine_id,
    )


def new_strangers(recorded: Surroundings, strangers: Sequence[Stranger]) -> list[Stranger]:
    """Return the strangers that were not there at the capture, by their names."""
    return [one for one in strangers if one.name not in recorded.strangers]


def new_changes(recorded: Surroundings, copy: WorkingCopy) -> Iterator[str]:
    """Yield, in words, the uncommitted changes that were not there at the capture."""
    yield from (text for text in copy.of_tracked if text not in recorded.changed)
    yield from (f"untracked {name}" for name in unexpected(recorded.untracked, copy.untracked))


def differences(
    recorded: Mapping[str, Json], now: Mapping[str, Json], shown_as: Callable[[Json], str]
) -> Iterator[str]:
    """Yield each difference of two mappings in words, both sides as `shown_as` returns them."""
    for name in sorted({*recorded, *now}):
        before, after = recorded.get(name), now.get(name)
        if before != after:
            yield f"{name}: expected {shown_as(before)}, observed {shown_as(after)}"


def shown_json(value: Json, longest: int = 80) -> str:
    """Return a setting's value in words, the beginning of a long one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "none" if value is None else shown(text, longest).strip("'")


def shown_hash(text: Json) -> str:
    """Return a keyed hash in words, the beginning of it."""
    return f"hash {str(text)[:_DIGITS]}" if text else "none"
