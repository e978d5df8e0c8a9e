"""PostgreSQL alone: keys that are none, moments, locks, row security, sequences, and other objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollproof.contract.subject import recorded, whole
from rollproof.errors import Meaning, Unverifiable
from rollproof.stores.contract import LOADED, Digest, Pace, Recall, Rights
from rollproof.stores.postgresql.client import MAINTENANCE
from rollproof.stores.reader import Reader
from tests.stack.scratch_stores import SECRET, expect_unverifiable
from tests.stack.stores.postgresql import Postgresql

STORES = ("postgresql",)
SHAPE = "public.shape"
pytestmark = pytest.mark.usefixtures("mended")


def test_a_table_without_a_key_is_one_part(subject: Postgresql, content: Reader) -> None:
    subject.run("CREATE TABLE shape (a int, b text);\nCREATE UNIQUE INDEX ON shape (a) WHERE a > 7")
    subject.run("INSERT INTO shape VALUES (1, 'x'), (1, 'x'), (NULL, NULL), (NULL, '')")
    assert content.divide(SHAPE, 1) == ("",)
    before = whole(content, SHAPE)
    assert before == Digest(4, sum(record.hash for _, record in recorded(content, SHAPE)))
    subject.run("DELETE FROM shape WHERE ctid = (SELECT min(ctid) FROM shape WHERE a = 1)")
    subject.run("INSERT INTO shape VALUES (NULL, '')")
    after = whole(content, SHAPE)
    assert (after.records, after.total != before.total) == (4, True)


def test_all_parts_are_of_one_moment(subject: Postgresql, content: Reader) -> None:
    before = whole(content, subject.many)
    division = content.divide(subject.many, 3000)
    found = content.digest(subject.many, division, range(len(division)), Pace())
    first = next(found)
    try:
        subject.run("UPDATE many SET id = -id")
        assert sum((digest for _, digest in [first, *found]), Digest(0, 0)) == before
        assert whole(content, subject.many) != before
    finally:
        subject.run("UPDATE many SET id = -id")


def test_a_role_with_settings_of_its_own_reads_the_same(subject: Postgresql, content: Reader) -> None:
    before = whole(content, subject.full)
    settings = {"DateStyle": "'German'", "TimeZone": "'Asia/Tokyo'", "bytea_output": "'escape'"}
    settings |= {"extra_float_digits": "0", "IntervalStyle": "'iso_8601'", "search_path": "public"}
    try:
        for name, value in settings.items():
            subject.run(f"ALTER ROLE reader SET {name} = {value}")
        with subject.reader() as other:
            assert whole(other, subject.full) == before
    finally:
        subject.run("ALTER ROLE reader RESET ALL")


def test_a_table_of_which_the_reader_may_see_a_part_is_no_answer(subject: Postgresql) -> None:
    subject.run("CREATE TABLE shape (a int);\nINSERT INTO shape VALUES (1), (2)")
    subject.run("ALTER TABLE shape ENABLE ROW LEVEL SECURITY;\nCREATE POLICY mine ON shape USING (a = 1)")
    with subject.reader() as content:
        assert content.count(SHAPE) == 2
    subject.run("ALTER ROLE reader NOBYPASSRLS")
    try:
        with subject.reader() as content:
            for call in (lambda: content.count(SHAPE), lambda: whole(content, SHAPE)):
                with pytest.raises(Unverifiable, match="row-level security"):
                    call()
    finally:
        subject.run("ALTER ROLE reader BYPASSRLS")


def test_variables_of_the_clients_library_lead_to_no_other_server(
    subject: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PGHOSTADDR": "127.0.0.9", "PGSERVICE": "another", "PGOPTIONS": "-c enable_seqscan=off"}
    for name, value in {**variables, "PGPASSWORD": "a profile may name it"}.items():
        monkeypatch.setenv(name, value)
    with subject.reader() as content:
        assert content.counts() == subject.counts
    assert os.environ["PGPASSWORD"]


def test_a_server_that_is_too_old_is_refused(subject: Postgresql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollproof.stores.postgresql.client.OLDEST", 99)
    expect_unverifiable(subject.reader(), "expected PostgreSQL 99 or newer", "observed PostgreSQL 1")


@contextmanager
def _locked(subject: Postgresql) -> Iterator[None]:
    with subject.running.connect() as session, session.transaction():
        session.execute("LOCK TABLE public.many")
        yield


def test_a_locked_table_is_no_answer_until_it_is_free(subject: Postgresql) -> None:
    with _locked(subject):
        expect_unverifiable(subject.reader(deadline_seconds=1.0), "within 1 s")
        with subject.reader(deadline_seconds=1.0) as content:
            with pytest.raises(Unverifiable, match="within 1 s") as failure:
                whole(content, subject.many)
            assert failure.value.means is Meaning.TIMEOUT
    with subject.reader() as view:
        assert view.counts() == subject.counts


def test_a_sequence_that_goes_back_is_told(subject: Postgresql, content: Reader) -> None:
    subject.run("CREATE SEQUENCE up;\nCREATE SEQUENCE round MAXVALUE 9 CYCLE;\nCREATE SEQUENCE gone")
    subject.run("CREATE SEQUENCE turned")
    try:
        subject.run("SELECT setval('up', 7)")
        before = content.positions()
        # Tables of the tests before this one may have sequences, too.
        names = {f"public.{name}" for name in ("up", "round", "gone", "turned")}
        own = {name: before[name] for name in before.keys() & names}
        assert own == {"public.up": 8, "public.gone": 1, "public.turned": 1}
        assert content.position_faults(before) == []
        subject.run("SELECT nextval('up')")
        assert content.position_faults(before) == []
        subject.run("SELECT setval('up', 40, false)")
        assert content.positions()["public.up"] == 40
        subject.run("SELECT setval('up', 6);\nDROP SEQUENCE gone;\nALTER SEQUENCE turned CYCLE")
        assert content.position_faults(before) == [
            "sequence public.gone is gone",
            "sequence public.up goes on at 7, behind 8",
        ]
    finally:
        subject.run("DROP SEQUENCE IF EXISTS up, round, gone, turned")


@pytest.mark.parametrize(
    "parts", ["", ' PARTITION BY RANGE ("100% of");\nCREATE TABLE p PARTITION OF shape DEFAULT']
)
def test_names_are_read_of_any_column(subject: Postgresql, parts: str) -> None:
    subject.run(f'CREATE TABLE shape ("100% of" int PRIMARY KEY, "%s" text){parts}')
    subject.run("INSERT INTO shape VALUES (1, 'A'), (2, 'a'), (3, NULL), (4, '''')")
    with subject.reader() as view:
        fields = ["%s", "100% of"]
        assert {*view.names(SHAPE, fields, {})} == {("A", "1"), ("a", "2"), ("'", "4"), None}
        assert [*view.names(SHAPE, fields, {"100% of": "2"})] == [("a", "2")]
        assert view.held(SHAPE, fields, [("A", "1"), ("a", "1"), ("'", "4")]) == {("A", "1"), ("'", "4")}
        assert view.held(SHAPE, ["100% of"], [("1",), ("x",)]) == {("1",)}


def test_searches_find_what_is_nearest(subject: Postgresql, content: Reader) -> None:
    subject.run("CREATE TABLE shape (id int PRIMARY KEY, at vector)")
    subject.run("INSERT INTO shape SELECT n, ARRAY[n, 0]::vector FROM generate_series(1, 9) AS n")
    subject.run("INSERT INTO shape VALUES (10, '[1,2,3]'), (11, NULL)")
    assert content.vectors(SHAPE, 1) == ((1.0, 0.0),)
    assert (content.load_state(SHAPE), content.search(SHAPE)) == (LOADED, [*"12345"])
    subject.run("DELETE FROM shape WHERE id = 2")
    assert content.search(SHAPE) == [*"13456"]


def test_the_metric_is_that_of_the_index(subject: Postgresql, content: Reader) -> None:
    subject.run("CREATE TABLE shape (id int PRIMARY KEY, other vector(3), at vector(2))")
    subject.run("INSERT INTO shape SELECT n, NULL, ARRAY[n, n * n]::vector FROM generate_series(0, 9) AS n")
    # From zero there is no angle.
    for metric, key in (("l2", "0"), ("l1", "0"), ("ip", "0"), ("cosine", "1")):
        subject.run(f"CREATE INDEX by_at ON shape USING hnsw ((at::halfvec(2)) halfvec_{metric}_ops)")
        assert content.search(SHAPE, 1) == [key] or metric == "ip"
        assert content.recall(SHAPE, content.vectors(SHAPE, 1)) == Recall(1.0, 1.0)
        subject.run("DROP INDEX by_at")


def test_a_table_without_a_key_or_vectors_is_not_searched(subject: Postgresql, content: Reader) -> None:
    subject.run("CREATE TABLE shape (id int, at vector(1));\nINSERT INTO shape VALUES (1, '[1]')")
    for table in (SHAPE, subject.many):
        assert (content.vectors(table, 3), content.recall(table, ())) == ((), None)
    for search in (
        content.search,
        content.load_state,
        lambda name: content.recall(name, [(1.0,)]),
    ):
        with pytest.raises(Unverifiable, match="expected a key and a column of vectors"):
            search(SHAPE)


def test_an_index_that_has_lost_rows_finds_fewer(
    subject: Postgresql, content: Reader, subtests: pytest.Subtests
) -> None:
    try:
        for damage, act in subject.index_changes.items():
            with subtests.test(damage):
                subject.index()
                vectors = content.vectors(subject.indexed, 3)
                before, digest = content.recall(subject.indexed, vectors), whole(content, subject.indexed)
                assert before is not None
                assert min(before.unfiltered, before.filtered) > 0.9
                act(subject)
                after = content.recall(subject.indexed, vectors)
                assert after is not None
                assert max(after.unfiltered, after.filtered) < 0.6
                assert whole(content, subject.indexed) == digest
    finally:
        subject.run("DROP TABLE IF EXISTS scattered")


def test_revisions_are_those_of_alembic_or_django(subject: Postgresql, content: Reader) -> None:
    assert content.revisions(SHAPE) == ()
    subject.run("CREATE TABLE shape (version_num text);\nINSERT INTO shape VALUES ('b'), ('a')")
    assert content.revisions(SHAPE) == ("a", "b")
    subject.run("CREATE TABLE django_migrations (id serial, app text, name text)")
    subject.run("INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_a'), ('auth', '0001_a')")
    assert content.revisions("public.django_migrations") == ("auth.0001_a", "shop.0001_a")
    subject.run("DROP TABLE django_migrations")


def test_what_is_unlisted_is_seen(subject: Postgresql, content: Reader) -> None:
    before = content.unlisted()
    assert before is not None
    assert (before.unread, before.outside) == ((), ())
    subject.run("SELECT pg_create_logical_replication_slot('slot', 'pgoutput')")
    subject.run("CREATE DATABASE another", MAINTENANCE)
    with subject.running.connect() as session:
        session.execute("BEGIN; DELETE FROM public.many WHERE id = -1; PREPARE TRANSACTION 'half'")
    subject.run("ALTER ROLE reader CONNECTION LIMIT 99")
    for whose in ("ROLE reader", "DATABASE scratch"):
        subject.run(f"ALTER {whose} SET app.jwt_secret = '{SECRET}'")
    subject.run(
        f"CREATE SUBSCRIPTION taken CONNECTION 'password={SECRET}' PUBLICATION news"
        " WITH (connect = false, slot_name = NONE)"
    )
    try:
        after = content.unlisted()
        assert after is not None
        changed = {name for name, one in after.compared.items() if before.compared.get(name) != one}
        assert changed == {
            "replication slot slot",
            "prepared transaction half",
            "role reader",
            "subscription taken",
        }
        assert after.outside == ("database another",)
        assert SECRET not in repr([after, content.schemas()])
    finally:
        subject.run("ALTER ROLE reader RESET ALL;\nALTER DATABASE scratch RESET ALL")
        subject.run("DROP SUBSCRIPTION taken")
        subject.run("ROLLBACK PREPARED 'half'")
        subject.run("SELECT pg_drop_replication_slot('slot')")
        subject.run("ALTER ROLE reader CONNECTION LIMIT -1")
        subject.run("DROP DATABASE another", MAINTENANCE)


def test_what_an_account_may_do_is_told(subject: Postgresql, content: Reader) -> None:
    assert content.rights() == Rights((), ("SUPERUSER",))
    subject.run("GRANT UPDATE ON many TO reader;\nGRANT CREATE ON SCHEMA public TO reader")
    try:
        assert content.rights().writes == ("CREATE on schema public", "UPDATE on public.many")
    finally:
        subject.run("REVOKE UPDATE ON many FROM reader;\nREVOKE CREATE ON SCHEMA public FROM reader")
    with subject.reader(reader=subject.running.profile.operator) as operator:
        assert operator.rights() == Rights(("SUPERUSER",))


def test_a_database_that_is_dropped_does_not_stand(subject: Postgresql) -> None:
    with subject.reader() as there, subject.reader(databases=("scratch_gone",)) as gone:
        assert (there.existing_collections(), gone.existing_collections()) == (there.collections(), ())
        used, allowed = there.connections()
        assert 0 < used < allowed
