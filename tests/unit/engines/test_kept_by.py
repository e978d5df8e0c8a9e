"""What keeps a store before its restore: what its kind has for that, and otherwise its backup."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rollproof.stores.keeper import kept_by
from rollproof.stores.package import Kept
from tests.unit.word_store import WordStore


@dataclass
class SafeWords(WordStore):
    """Has a way of its own to be kept before a restore."""

    def keep_safe(self, folder: Path) -> Kept:
        """Keep nothing of it."""
        return Kept(f"safe in {folder.name}", {}, 0, None)


@dataclass
class MovedWords(SafeWords):
    """May have been elsewhere at the backup."""

    def keep_both(self, folder: Path, backup: Path) -> Kept:
        """Keep nothing of it."""
        return Kept(f"both in {folder.name}, before {backup.name}", {}, 0, None)


@dataclass
class StoppedWords(WordStore):
    """Need not run for that."""

    def keep_aside(self, folder: Path, *, up: bool) -> Kept:
        """Keep nothing of it."""
        return Kept(f"aside in {folder.name}, up: {up}", {}, 0, None)


def _method(store: WordStore, folder: Path, *, up: bool) -> str:
    return kept_by(store, up=up, backup=Path("backup"))(folder).method


def test_a_store_is_kept_by_what_its_kind_has_for_that(tmp_path: Path) -> None:
    assert _method(WordStore("a", "words"), tmp_path, up=True) == "words"
    assert _method(SafeWords("a", "words"), tmp_path, up=True) == f"safe in {tmp_path.name}"
    assert _method(MovedWords("a", "words"), tmp_path, up=True) == f"both in {tmp_path.name}, before backup"
    assert _method(StoppedWords("a", "words"), tmp_path, up=True) == f"aside in {tmp_path.name}, up: True"


def test_one_that_need_not_run_is_told_that_it_does_not(tmp_path: Path) -> None:
    assert _method(StoppedWords("a", "words"), tmp_path, up=False) == f"aside in {tmp_path.name}, up: False"
