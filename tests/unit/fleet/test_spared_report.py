from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reports.run import record
from reports.run.record import UNRENDERED_IF_GREEN


@pytest.mark.parametrize(
    ("of_many", "green", "there"),
    [(True, True, False), (True, False, True), (False, True, True), (False, False, True)],
)
def test_of_many_runs_only_one_that_did_not_pass_renders_its_report(
    *, of_many: bool, green: bool, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.html"
    report.write_text("of an earlier run", encoding="utf-8")
    monkeypatch.setattr(record, "installed_allure", lambda: "allure")
    monkeypatch.setattr(record, "render", lambda _, front: report.write_text(front, encoding="utf-8"))
    config: Any = SimpleNamespace(stash=pytest.Stash())
    if of_many:
        config.stash[UNRENDERED_IF_GREEN] = True
    verification: Any = SimpleNamespace(incident=SimpleNamespace(folder=tmp_path))
    plugin = record._Record(config, verification)
    plugin._green = green
    plugin._render("of this run")
    assert report.exists() is there
    assert not there or report.read_text() == "of this run"
    assert bool(plugin._notes) is not there
