"""`rollproof grants`: what each store's accounts need; no store is asked."""

from __future__ import annotations

import re

import pytest

from rollproof.cli.command_line import main
from rollproof.errors import ExitCode
from tests.conftest import ROOT
from tests.unit.command_line import Ran

LAYRA = ROOT / "targets" / "layra.toml"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed for LAYRA, which has a store of every kind."""
    for name in re.findall(r'env = "([A-Z0-9_]+)"', LAYRA.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "s3cret-of-the-store")
    monkeypatch.setattr("sys.argv", ["rollproof", "grants", f"--target={LAYRA}"])
    assert main() is ExitCode.VERIFIED
    return capsys.readouterr().out


def test_every_store_has_a_section_for_each_account(told: str) -> None:
    stores = ("mysql", "mongodb", "redis", "qdrant", "milvus", "minio", "kafka")
    parts = [part.splitlines() for part in told.removeprefix("# ").split("\n\n# ")]
    sections = {part[0]: part[1:] for part in parts}
    assert [title.split(" (")[0] for title in sections] == [name for name in stores for _ in range(2)]
    assert all(any(lines) for lines in sections.values())
    assert "s3cret-of-the-store" not in told


@pytest.mark.parametrize(
    "line",
    [
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON `imagedb`.* TO 'rollproof_reader'@'%';",
        "/*!80000 GRANT SHOW_ROUTINE, PROCESS ON *.* TO 'rollproof_reader'@'%' */;",
        "ACL SETUSER default on ~* &* +@all",
    ],
)
def test_the_lines_can_be_pasted(told: str, line: str) -> None:
    assert line in told.splitlines()


def test_one_store_and_a_store_that_is_none(away: Ran) -> None:
    said = away("grants", "--store=mysql")
    assert "# mysql (mysql), reader" in said
    assert "redis" not in said
    said = away("grants", "--store=mysq", code=ExitCode.USAGE)
    assert "store: expected one of redis, mysql, observed 'mysq' (from the command line)" in said
