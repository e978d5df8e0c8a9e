"""Pages and schemas of `docs` that are made from code, and the files for Prometheus and Grafana."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from promql_parser import Expr, MatrixSelector, VectorSelector

from tests import schemas as of_records
from tests.conftest import ROOT
from tests.reference import FOLDER, every_metric, exported, meanings_of_fields, models, pages

MONITORING = ROOT / "docs" / "monitoring"


@pytest.mark.parametrize("name", ["profile.md", "commands.md", "metrics.md"])
def test_a_page_is_as_the_code_says(name: str) -> None:
    there = (FOLDER / name).read_text(encoding="utf-8")
    assert there == pages()[name], "its code was changed: ./run schemas writes the page again"


def test_each_key_of_a_profile_says_what_it_means() -> None:
    found = models()
    assert len(found) > 40
    silent = [
        f"{name}.{field}"
        for name, model in found.items()
        for field in set(model.model_fields) - set(meanings_of_fields(model))
    ]
    assert not silent, "write a docstring below the field"


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def _panels() -> list[dict[str, Any]]:
    return list(json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))["panels"])


def _selectors(text: str) -> Iterator[VectorSelector]:
    found: list[VectorSelector] = []

    def visit(expression: Expr) -> None:
        if isinstance(expression, VectorSelector):
            found.append(expression)
        elif isinstance(expression, MatrixSelector):
            found.append(expression.vector_selector)

    promql_parser.walk(promql_parser.parse(text), visit)
    yield from found


def _alerted() -> list[str]:
    return [rule["expr"] for rule in _rules()]


def _drawn() -> list[str]:
    return [target["expr"] for panel in _panels() for target in panel["targets"]]


def test_alerts_and_dashboard_name_each_metric_that_is_exported_and_no_other(tmp_path: Path) -> None:
    metrics = every_metric(tmp_path)
    named = {selector.name for text in (*_alerted(), *_drawn()) for selector in _selectors(text)}
    assert named == set(exported(metrics))


def test_a_state_that_an_expression_asks_for_is_one_that_is_exported(tmp_path: Path) -> None:
    values: dict[str, dict[str, set[str]]] = {}
    for metric in every_metric(tmp_path):
        for sample in metric.samples:
            for label, value in sample.labels.items():
                values.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    asked = [
        (selector.name or "", matcher.name, matcher.value)
        for text in (*_alerted(), *_drawn())
        for selector in _selectors(text)
        for matcher in selector.matchers.matchers
    ]
    assert len(asked) > len(_drawn())
    for metric_name, label, value in asked:
        assert label in values[metric_name]
        assert value == "$target" or value in values[metric_name][label], (metric_name, label, value)


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Each record's schema as it would be written, by file name."""
    return of_records.schemas()


def test_the_schemas_are_those_of_the_records(written: dict[str, str]) -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in of_records.FOLDER.glob("*.schema.json")}
    assert there == written, "a record was changed: ./run schemas writes its schema again"
