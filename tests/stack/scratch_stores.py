"""What the tests of stores share: addresses where nothing answers, and backups that are not whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from pydantic import SecretStr

from fixtures.engines.engine import Endpoint
from fixtures.errors import ActionFailed, Unverifiable
from fixtures.stores.profiles import Account, StoreProfile
from fixtures.stores.view import StoreView
from rollback_actions.stores.keeper import StoreKeeper
from rollback_actions.stores.package import MANIFEST
from tests.stack.faults import closed_port, silent_port

SECRET = "correct-horse-battery-staple"  # noqa: S105 - what must not be seen
Profile = TypeVar("Profile", bound=StoreProfile)


def changed(profile: Profile, **changes: object) -> Profile:
    """Return a copy of `profile` with some fields changed, its policies left out."""
    return profile.model_copy(update={"policy": {}, **changes})


def with_wrong_password(profile: Profile) -> Profile:
    """Return a copy of `profile` whose reader is refused."""
    user = getattr(profile, "reader").user  # noqa: B009 - not every profile has one
    return changed(profile, reader=Account(user=user, password=SecretStr(SECRET)))


@contextmanager
def silence() -> Iterator[Endpoint]:
    """Give an address that takes connections, and never answers."""
    with silent_port() as port:
        yield Endpoint("127.0.0.1", port)


def nowhere() -> Endpoint:
    """Return an address that nothing listens at."""
    return Endpoint("127.0.0.1", closed_port())


def expect_unverifiable(view: StoreView, *words: str) -> None:
    """Ask and count: both must say that they could not, and why, without the secret."""
    with view:
        for call in (view.ask, view.counts):
            with pytest.raises(Unverifiable) as failure:
                call()
            text = str(failure.value)
            assert SECRET not in text
            assert "HINT: " in text
            shown = failure.value.__cause__ or (
                None if failure.value.__suppress_context__ else failure.value.__context__
            )
            assert shown is None, "the driver's own exception may hold a secret"
            for word in (view.name, *words):
                assert word in text


def expect_damage_refused(keeper: StoreKeeper, folder: Path, observe: Callable[[], object]) -> None:
    """Restore from every kind of damaged copy of `folder`: refused, with the store untouched."""
    before = observe()
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    largest = max(files, key=lambda name: (folder / name).stat().st_size)
    for damage in (_cut, _flip, _remove):
        for name in {largest, Path(MANIFEST)}:
            copy = folder.with_name(f"{folder.name}-damaged")
            shutil.copytree(folder, copy)
            damage(copy / name)
            with pytest.raises(ActionFailed, match=str(name)):
                keeper.restore(copy)
            shutil.rmtree(copy)
            assert observe() == before, (
                f"{damage.__name__} of {name} was not seen before the store was changed"
            )


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _remove(path: Path) -> None:
    path.unlink()
