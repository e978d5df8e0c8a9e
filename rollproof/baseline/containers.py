"""Containers as recorded, and how a container's configuration and inside differ from that.

A value that may be secret is shown as the first digits of its keyed hash.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from rollproof.baseline.configuration_key import ConfigurationKey
from rollproof.baseline.facts import RecordedContainer, RecordedInside
from rollproof.collection import Json
from rollproof.engines.engine import Container, Inside
from rollproof.errors import shown
from rollproof.reading import open_regular

_DIGITS = 8
_BLOCK = 1 << 16


def record_container(container: Container, inside: Inside, seal: ConfigurationKey) -> RecordedContainer:
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
        sealed={
            **sealed_texts(container.private, seal),
            **{f"file {path}": text for path, text in inside.bound.items()},
        },
        inside=RecordedInside(inside.modified, inside.added, inside.deleted, inside.placed),
        places=tuple(sorted(mount.destination for mount in container.mounts)),
        health_seconds=container.health_seconds,
    )


def setting_differences(
    recorded: RecordedContainer, container: Container, inside: Inside, seal: ConfigurationKey
) -> Iterator[str]:
    """Yield each difference between the configuration as recorded and now, both sides in words."""
    yield from differences(recorded.settings, container.settings, shown_json)
    files = {f"file {path}": text for path, text in inside.bound.items()}
    yield from differences(recorded.sealed, {**sealed_texts(container.private, seal), **files}, shown_hash)
    before, now = (
        {f"file {path}": text for path, text in placed.items()}
        for placed in (recorded.inside.placed, inside.placed)
    )
    yield from differences(before, now, shown_hash)


def inside_differences(recorded: RecordedInside, inside: Inside) -> Iterator[str]:
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


def _new_in_layer(recorded: RecordedInside, added: Iterable[str]) -> Iterator[str]:
    """Yield the `added` paths that were not recorded, nor are expected.

    A layer names each folder that is new. So below another folder of the image than those where the container
    had made files, nothing is expected, however deep. What compose placed in it, it has not made.
    """
    placed = {path[:end] for path in recorded.placed for end in _ends(path)}
    made = [path for path in recorded.added if path not in placed]
    folders = {path.rpartition("/")[0] for path in made} - {""} | set(made)
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
        above = {path[:end] for end in _ends(path)} - {path}
        if path not in recorded and not above & (folders | set(recorded)):
            yield path


def _ends(path: str) -> Iterator[int]:
    """Yield where each folder of `path` ends in it, and where it ends itself."""
    yield from (end for end, letter in enumerate(path) if letter == "/" and end)
    yield len(path)


def sealed_files(top: Path, names: Iterable[str], seal: ConfigurationKey) -> dict[str, str]:
    """Return the keyed hash of each file below `top`, "" for what is none."""
    found = {}
    for name in names:
        try:
            with open_regular(top / name) as stream:
                found[name] = seal(f"file {name}", iter(lambda: stream.read(_BLOCK), b""))
        except OSError:
            found[name] = ""
    return found


def shown_json(value: Json, longest: int = 80) -> str:
    """Return a setting's value in words, the beginning of a long one."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "none" if value is None else shown(text, longest).strip("'")


def sealed_texts(texts: Mapping[str, SecretStr], seal: ConfigurationKey, of: str = "") -> dict[str, str]:
    """Return the keyed hash of each of `texts`, by name; `of` is part of what is hashed."""
    return {name: seal(of + name, [text.get_secret_value().encode()]) for name, text in texts.items()}


def shown_hash(text: Json) -> str:
    """Return a keyed hash in words, the beginning of it."""
    return f"hash {str(text)[:_DIGITS]}" if text else "none"


def differences(
    recorded: Mapping[str, Json], now: Mapping[str, Json], shown_as: Callable[[Json], str]
) -> Iterator[str]:
    """Yield each difference of two mappings in words, both sides as `shown_as` returns them."""
    for name in sorted({*recorded, *now}):
        before, after = recorded.get(name), now.get(name)
        if before != after:
            yield f"{name}: expected {shown_as(before)}, observed {shown_as(after)}"
