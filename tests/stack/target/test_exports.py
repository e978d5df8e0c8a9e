"""What the application of the stack has written can be exported on the accounts that read there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.engines.engine import ContainerEngine
from rollproof.profile.profile import Target
from rollproof.stores.registry import open_exporter, open_reader
from tests.stack.stores.keeping.records import exported, wanted_of


@pytest.mark.parametrize("store", ["mysql", "mongodb", "redis", "qdrant", "milvus", "minio", "kafka"])
def test_the_reader_of_the_profile_can_export(
    target: Target, engine: ContainerEngine, store: str, tmp_path: Path
) -> None:
    profile = target.stores[store]
    with open_reader(store, profile, engine) as reader, open_exporter(store, profile, engine) as exporter:
        counts = {name: count for name, count in reader.counts().items() if count}
        name = min(counts, key=lambda name: counts[name])
        wanted = wanted_of(reader, name)
        found = exported(exporter, name, wanted, tmp_path)
    assert {(record.key, record.hash) for record in found} == wanted[0]
