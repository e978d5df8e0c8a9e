"""Every content reader: no change of a schema goes unseen, and no writing of records is one."""

from __future__ import annotations

import pytest

from rollproof.contract.subject import CollectionState, Subject, whole
from rollproof.stores.reader import Reader


@pytest.mark.usefixtures("mended")
def test_writing_records_changes_no_schema(subject: Subject, content: Reader) -> None:
    schemas = content.schemas()
    assert list(schemas) == sorted(schemas)
    assert set(schemas) >= set(subject.counts)
    for change in ("lost", "added"):
        made = subject.make(change)
        assert content.schemas()[made] == schemas[subject.full]
    subject.mend()
    assert content.schemas() == schemas


@pytest.mark.only("schema_changes")
def test_every_change_of_a_schema_is_seen(
    subject: Subject, content: Reader, before: CollectionState, subtests: pytest.Subtests
) -> None:
    """Each is made after those before it."""

    def look() -> object:
        return content.schemas(), {name: whole(content, name) for name in subject.defined}

    try:
        subject.define()
        latest = look()
        assert look() == latest
        for change, act in subject.schema_changes.items():
            act(subject)
            earlier, latest = latest, look()
            with subtests.test(change):
                assert latest != earlier
                assert whole(content, subject.full) == before.digests[0]
    finally:
        subject.undefine()
