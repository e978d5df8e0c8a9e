"""SQLite files in a volume, of the layout of Open WebUI and Chroma, while a process writes to them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollproof.contract.subject import CollectionState, read
from rollproof.engines.engine import ContainerEngine
from rollproof.errors import ActionFailed, Unverifiable
from rollproof.profile.sections import Policy
from rollproof.stores.contract import Pace, Selection
from rollproof.stores.keeper import StoreKeeper
from rollproof.stores.keepers import open_keeper
from rollproof.stores.mounts import reader
from rollproof.stores.reader import Reader
from rollproof.stores.registry import open_reader
from tests.stack.mounted_project import STORE, MountedProject, empty, mounted_project, put

DATA = "app:/app/data"
WEBUI = """
PRAGMA journal_mode = WAL;
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT, last_active_at INTEGER);
CREATE TABLE chat (id TEXT PRIMARY KEY, user_id TEXT REFERENCES user (id), title TEXT, chat JSON, score REAL);
CREATE TABLE message (chat TEXT, body TEXT);
CREATE INDEX chat_title ON chat (title);
INSERT INTO alembic_version VALUES ('3781e22d8b01');
INSERT INTO user VALUES ('anna', 'Anna', 1), ('ben', 'Ben', 2);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO chat SELECT 'c' || i, 'anna', 'title ' || i, zeroblob(i), i / 3.0 FROM n;
INSERT INTO message VALUES ('c1', 'same'), ('c1', 'same'), ('c2', 'other');
"""
CHROMA = """
CREATE TABLE collections (id TEXT PRIMARY KEY, name TEXT NOT NULL, dimension INTEGER);
CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT, seq_id BLOB);
CREATE TABLE embedding_metadata (id INTEGER REFERENCES embeddings (id), key TEXT, string_value TEXT,
    int_value INTEGER, PRIMARY KEY (id, key));
CREATE VIRTUAL TABLE embedding_fulltext_search USING fts5(string_value, tokenize='trigram');
INSERT INTO collections VALUES ('k', 'docs', 3);
INSERT INTO embeddings VALUES (1, 's', 'e1', x'01'), (2, 's', 'e2', x'02');
INSERT INTO embedding_metadata VALUES (1, 'chroma:document', 'the keeper', NULL), (2, 'page', NULL, 7);
INSERT INTO embedding_fulltext_search (rowid, string_value) VALUES (1, 'the keeper');
"""
# Commits rows for as long as it lives, says so each time, and keeps the last commits in the log.
WRITER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
number = 0
while True:
    number += 1
    db.execute("BEGIN")
    for table in ("one", "two"):
        db.execute(f"INSERT INTO {table} VALUES (?, zeroblob(3000))", (number,))
    db.execute("COMMIT")
    print(number, flush=True)
    time.sleep(0.002)
"""
CHATS = "webui.db#chat"


class Volume:
    """The volume with its files, and the ways that a check and a rollback have to it."""

    def __init__(self, project: MountedProject) -> None:
        self.project, self.path = project, project.paths[DATA]
        self.webui, self.chroma = self.path / "webui.db", self.path / "vector_db/chroma.sqlite3"

    def fill(self) -> None:
        empty(self.path)
        for folder in ("vector_db/0a1b", "uploads", "cache"):
            (self.path / folder).mkdir(parents=True)
        self.run(WEBUI)
        self.run(CHROMA, self.chroma)
        put(self.path / "vector_db/0a1b/data_level0.bin", bytes(1000))
        put(self.path / "uploads/lamp.pdf", b"%PDF")
        put(self.path / "cache/model", b"weights")

    def run(self, statements: str, file: Path | None = None) -> None:
        with closing(sqlite3.connect(file or self.webui, isolation_level=None)) as db:
            db.executescript(statements)

    def reader(self, **changes: Any) -> Reader:  # noqa: ANN401 - fields of the profile
        profile = self.project.profile(DATA).model_copy(update=changes)
        return open_reader(STORE, profile, self.project.engine)

    def read(self, **changes: Any) -> CollectionState:  # noqa: ANN401 - likewise
        with self.reader(**changes) as opened:
            records = [one for _, one in opened.records(DATA, ("",), [0], Pace())]
            assert opened.count(DATA) == len(records)
            return CollectionState({}, {f"{one.key} {number}": one for number, one in enumerate(records)})

    def keeper(self, **changes: Any) -> StoreKeeper:  # noqa: ANN401 - likewise
        profile = self.project.profile(DATA).model_copy(update=changes)
        return open_keeper(STORE, profile, self.project.engine, self.project.control, 60)


@pytest.fixture(scope="module")
def project(engine: ContainerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MountedProject]:
    image = engine.containers()["redis"][0].image
    with mounted_project(image, tmp_path_factory.mktemp("sqlite"), ("data",)) as made:
        yield made


@pytest.fixture
def volume(project: MountedProject) -> Volume:
    volume = Volume(project)
    volume.fill()
    return volume


@contextmanager
def written(file: Path) -> Iterator[Callable[[int], None]]:
    """Let a process write to a file until it is killed in the middle; give what waits for commits."""
    words = [sys.executable, "-c", WRITER, str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:

        def committed(times: int) -> None:
            assert process.stdout is not None
            for _ in range(times):
                assert process.stdout.readline()

        try:
            committed(1)
            yield committed
        finally:
            process.kill()


def _differences(volume: Volume, act: Callable[[], object]) -> dict[str, object]:
    """Return what a change shows, by key: the fields that differ, or "gone" and "come"."""
    with volume.reader() as opened:
        old = {one.key: one for _, one in opened.records(DATA, ("",), [0], Pace())}
        act()
        new = {one.key: one for _, one in opened.records(DATA, ("",), [0], Pace())}
    found: dict[str, object] = dict.fromkeys(old.keys() - new.keys(), "gone")
    found |= dict.fromkeys(new.keys() - old.keys(), "come")
    for key in old.keys() & new.keys():
        if old[key].hash != new[key].hash:
            fields = old[key].fields.keys() | new[key].fields.keys()
            found[key] = {n for n in fields if old[key].fields.get(n) != new[key].fields.get(n)}
    return found


SEEN: Mapping[str, tuple[str, dict[str, object]]] = {
    "a row changed": ("UPDATE chat SET title = 'x' WHERE id = 'c7'", {f"{CHATS} c7": {"title"}}),
    "a row missing": ("DELETE FROM chat WHERE id = 'c7'", {f"{CHATS} c7": "gone"}),
    "another type": ("UPDATE chat SET chat = CAST(chat AS TEXT) WHERE id = 'c3'", {f"{CHATS} c3": {"chat"}}),
    "a row added": ("INSERT INTO user VALUES ('eve', NULL, 3)", {"webui.db#user eve": "come"}),
}


@pytest.mark.parametrize("change", SEEN)
def test_a_change_is_narrowed_to_table_row_and_column(volume: Volume, change: str) -> None:
    statement, expected = SEEN[change]
    assert _differences(volume, lambda: volume.run(statement)) == expected


def test_a_row_without_a_key_is_gone_or_come(volume: Volume) -> None:
    act = "UPDATE message SET body = 'x' WHERE rowid = 3"
    found = _differences(volume, lambda: volume.run(act))
    assert sorted(found.values(), key=str) == ["come", "gone"]
    assert all(key.startswith("webui.db#message ") for key in found)


def test_a_dropped_table_and_an_index_that_disagrees_are_in_the_schema(volume: Volume) -> None:
    with volume.reader() as opened:
        before = opened.schemas()
        assert list(before) == [DATA, f"sqlite {DATA}/vector_db/chroma.sqlite3", f"sqlite {DATA}/webui.db"]
        volume.run("DROP TABLE message")
        dropped = opened.schemas()
        assert "table message" not in str(dropped)
        assert "table message" in str(before)
        with closing(sqlite3.connect(volume.webui, isolation_level=None)) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute(
                "UPDATE sqlite_schema SET sql = replace(sql, '(title)', '(id)') WHERE name = 'chat_title'"
            )
        damaged: dict[str, dict[str, object]] = opened.schemas()  # type: ignore[assignment]
        assert "chat_title" in str(damaged[f"sqlite {DATA}/webui.db"]["integrity_check"])
        volume.run("PRAGMA foreign_keys = OFF; DELETE FROM user WHERE id = 'anna'")
        orphans: dict[str, dict[str, object]] = opened.schemas()  # type: ignore[assignment]
        assert orphans[f"sqlite {DATA}/webui.db"]["foreign_key_check"] == ["chat -> user"]


def test_a_log_that_was_thrown_away_is_seen(volume: Volume) -> None:
    volume.run("CREATE TABLE one (id INTEGER PRIMARY KEY, x); CREATE TABLE two (id INTEGER PRIMARY KEY, x)")
    with written(volume.webui) as committed:
        committed(10)
    assert (volume.path / "webui.db-wal").stat().st_size > 0

    def lose() -> None:
        for end in ("-wal", "-shm"):
            (volume.path / f"webui.db{end}").unlink()

    found = _differences(volume, lose)
    assert found
    assert set(found.values()) == {"gone"}


def test_other_pages_of_the_same_content_are_the_same(volume: Volume) -> None:
    def other_pages() -> None:
        volume.run("DELETE FROM message WHERE rowid = 1; INSERT INTO message VALUES ('c1', 'same')")
        volume.run("PRAGMA wal_checkpoint(TRUNCATE)")
        volume.run("PRAGMA journal_mode = DELETE; PRAGMA page_size = 16384; VACUUM; ANALYZE")
        volume.run("PRAGMA journal_mode = WAL; UPDATE user SET last_active_at = last_active_at")
        volume.run(
            "INSERT INTO embedding_fulltext_search (embedding_fulltext_search) VALUES ('optimize')",
            volume.chroma,
        )

    bytes_before = volume.webui.read_bytes()
    assert _differences(volume, other_pages) == {}
    assert volume.webui.read_bytes() != bytes_before


def test_a_backup_while_a_process_writes_is_consistent_and_leaves_no_log_behind(
    volume: Volume, tmp_path: Path
) -> None:
    volume.run("CREATE TABLE one (id INTEGER PRIMARY KEY, x); CREATE TABLE two (id INTEGER PRIMARY KEY, x)")
    keeper = volume.keeper(policy={"*": Policy.GROWS})
    with written(volume.webui) as committed:
        committed(100)
        kept = keeper.back_up(tmp_path)
        committed(10)
    assert (volume.path / "webui.db-wal").exists()
    later = volume.webui.with_name("later.db")
    put(later, b"of a later release")
    keeper.restore(tmp_path)
    assert not [path for path in volume.path.iterdir() if path.name.startswith(("webui.db-", "later"))]
    assert volume.webui.read_bytes()[18:20] == b"\2\2"  # it has a write-ahead log again, once it is opened
    with closing(sqlite3.connect(volume.webui)) as db:
        ((one, last),) = db.execute("SELECT count(*), max(id) FROM one").fetchall()
        assert one == last > 0
        assert db.execute("SELECT * FROM one EXCEPT SELECT * FROM two").fetchall() == []
        assert db.execute("SELECT count(*) FROM two").fetchone() == (one,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with volume.reader() as opened:
        assert opened.counts() == kept.records


def test_a_hot_journal_is_rolled_back_in_the_copy(volume: Volume, tmp_path: Path) -> None:
    before = volume.read().records
    code = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.executescript('PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; DELETE FROM embeddings;"
        'INSERT INTO collections SELECT value, zeroblob(9000), 1 FROM json_each("[1,2,3,4,5,6,7,8]")\');'
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(volume.chroma)], check=True, timeout=60)
    assert volume.chroma.with_name("chroma.sqlite3-journal").stat().st_size > 0
    assert {one.hash for one in volume.read().records.values()} == {one.hash for one in before.values()}
    volume.keeper().back_up(tmp_path)
    volume.keeper().restore(tmp_path)
    assert not volume.chroma.with_name("chroma.sqlite3-journal").exists()
    with closing(sqlite3.connect(volume.chroma)) as db:
        assert db.execute("SELECT count(*) FROM embeddings").fetchone() == (2,)


def test_what_never_stands_still_is_no_answer(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    volume.run("PRAGMA journal_mode = DELETE")
    monkeypatch.setattr(reader, "MOST_READINGS", 3)
    files = volume.project.engine.files

    def written_before(*asked: Any) -> AbstractContextManager[Iterator[bytes]]:  # noqa: ANN401 - as it has them
        volume.run("UPDATE user SET last_active_at = last_active_at + 1")
        return files(*asked)

    monkeypatch.setattr(volume.project.engine, "files", written_before)
    with pytest.raises(Unverifiable, match="in each of 3 readings"):
        volume.read()


def test_a_damaged_file_is_no_backup_but_is_kept_as_it_lies(volume: Volume, tmp_path: Path) -> None:
    volume.run("PRAGMA journal_mode = DELETE")
    volume.run(
        "PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = replace(sql, '(title)', '(id)') WHERE name = 'chat_title'"
    )
    whole, safe = tmp_path / "whole", tmp_path / "safe"
    whole.mkdir()
    safe.mkdir()
    with pytest.raises(ActionFailed, match=r"expected ok of integrity_check of webui\.db"):
        volume.keeper().back_up(whole)
    volume.fill()
    backup = tmp_path / "backup"
    backup.mkdir()
    volume.keeper().back_up(backup)
    volume.webui.write_bytes(volume.webui.read_bytes()[:8192] + bytes(9000))
    torn = volume.webui.read_bytes()
    with pytest.raises(Unverifiable, match=r"webui\.db: .*malformed|webui\.db: .*not a database"):
        volume.read()
    volume.keeper().keep_safe(safe, up=False, backup=backup)
    volume.keeper().restore(backup)
    assert volume.webui.read_bytes() != torn
    volume.keeper().restore(safe)
    assert volume.webui.read_bytes() == torn


def test_volatile_files_tables_and_columns_are_not_compared(volume: Volume) -> None:
    changes: dict[str, Any] = {
        "volatile": ("cache/*", "webui.db#message"),
        "exclude": {"*/webui.db#user": ("last_active_at",)},
    }
    before = volume.read(**changes).records
    assert not any(key.startswith(("cache/", "webui.db#message")) for key in before)
    put(volume.path / "cache/other", b"")
    volume.run("DELETE FROM message; UPDATE user SET last_active_at = 9")
    assert {one.hash for one in volume.read(**changes).records.values()} == {
        one.hash for one in before.values()
    }
    with volume.reader(**changes) as opened:
        assert any("cache/*, webui.db#message" in line for line in opened.blind_spots)


def test_rows_are_exported_with_their_columns_and_not_written_back(volume: Volume, tmp_path: Path) -> None:
    with volume.reader() as opened:
        wanted = frozenset(
            (one.key, one.hash)
            for _, one in opened.records(DATA, ("",), [0], Pace())
            if one.key in {f"{CHATS} c3", "webui.db", "uploads/lamp.pdf"}
        )
        found = {one.key: one for one in opened.export(Selection(DATA, ("",), {0: wanted}), tmp_path, Pace())}
    assert found.keys() == {f"{CHATS} c3", "webui.db", "uploads/lamp.pdf"}
    assert found[f"{CHATS} c3"].content == {
        "row": {"id": "c3", "user_id": "anna", "title": "title 3", "chat": {"base64": "AAAA"}, "score": 1.0}
    }
    with volume.keeper().putting(DATA, tmp_path, overwrite=True) as put_back:
        (volume.path / "uploads/lamp.pdf").unlink()
        put_back.write(found["uploads/lamp.pdf"])
        with pytest.raises(ActionFailed, match="a row of a SQLite file"):
            put_back.write(found[f"{CHATS} c3"])
    assert (volume.path / "uploads/lamp.pdf").read_bytes() == b"%PDF"


def test_parts_agree_with_their_digests(volume: Volume) -> None:
    volume.run("DELETE FROM message WHERE rowid = 1")
    with volume.reader() as opened:
        division = opened.divide(DATA, 100)
        assert len(division) > 4
        assert read(opened, DATA, division).records == read(opened, DATA).records
