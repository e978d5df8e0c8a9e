"""A table too large for the available time: a part is read exactly, and the rest is reported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollback_actions.containers.compose import ComposeControl
from rollproof.baseline.comparison import compare
from rollproof.baseline.recording import record_collection
from rollproof.baseline.sampling import SamplePlan, plan
from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.contract import Pace
from rollproof.stores.mysql.descriptor import MysqlProfile
from rollproof.stores.mysql.reader import MysqlReader
from rollproof.stores.reach import Readable
from rollproof.stores.snapshot import PART, Snapshot
from tests.stack.mysql_server import DATABASES, MysqlServer, stack_server

ROWS = 100_000
TABLE = f"{DATABASES[0]}.large"


@pytest.fixture(scope="module")
def server(
    target: Target,
    engine: ContainerEngine,
    control: ComposeControl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MysqlServer]:
    profile = target.stores["mysql"]
    assert isinstance(profile, MysqlProfile)
    endpoint = engine.resolve(profile.address)
    folder = tmp_path_factory.mktemp("large")
    with stack_server(profile, endpoint, control, "mysql", folder) as found:
        found.root(
            "SET SESSION cte_max_recursion_depth = 1000000;"  # noqa: S608 - a number
            " CREATE TABLE large (id INT PRIMARY KEY, text VARCHAR(200) NOT NULL);"
            " INSERT INTO large WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            f" WHERE i < {ROWS}) SELECT i, CONCAT('row ', i, REPEAT('.', 150)) FROM n;",
            DATABASES[0],
        )
        yield found


def test_what_does_not_fit_is_sampled_and_said_and_the_scan_ends_in_time(
    server: MysqlServer, tmp_path: Path
) -> None:
    profile = server.profile
    with MysqlReader(Readable("mysql", profile, server.endpoint)) as content:
        with Snapshot(tmp_path / "records", new=True) as snapshot:
            recorded = record_collection(content, profile, TABLE, snapshot, "records")
        parts = len(recorded.division)
        assert parts == pytest.approx(ROWS / PART, abs=1)
        chosen = plan(parts, recorded.seconds, recorded.seconds / 4)
        assert len(chosen.parts) < parts
        pace = Pace(connections=2)

        def compared(plan: SamplePlan) -> tuple[str, str]:
            # Its own time is not what is shown here, and a busy machine must not end it early.
            patient = SamplePlan(plan.parts, 60.0)
            found = compare(content, TABLE, recorded, tmp_path / recorded.records, patient, pace)
            return str(found), str(found.coverage)

        whole = SamplePlan(tuple(range(parts)), 60.0)
        assert compared(whole) == ("nothing", f"all of {ROWS:,} records")
        covered = len(chosen.parts)
        differing, coverage = compared(chosen)
        assert differing == "nothing"
        assert coverage.startswith(f"{covered} of {parts} parts of {ROWS:,} records, chosen at random")
        unseen = sum(d.records for part, d in enumerate(recorded.digests) if part not in chosen.parts)
        assert f"1: {unseen / ROWS:.1%} scattered" in coverage

        server.root("UPDATE large SET text = 'cut' WHERE id = 45678", DATABASES[0])
        assert compared(whole)[0] == "0 missing, 0 added, 1 changed (changed 45678: text)"
        part = next(p for p in range(parts) if compared(SamplePlan((p,), 60.0))[0] != "nothing")
        assert compared(SamplePlan((*range(part), *range(part + 1, parts)), 60.0))[0] == "nothing"

        # However slow the store has become, the scan ends in time.
        hurried = SamplePlan(tuple(range(parts)), 0.0)
        found = compare(content, TABLE, recorded, tmp_path / recorded.records, hurried, Pace())
        assert 1 <= found.coverage.covered < found.coverage.parts
        assert not found.coverage.whole
