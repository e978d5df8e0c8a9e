"""Every content reader: no change of a schema goes unseen, and no writing of records is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollproof.contract.reading import Reading, whole
from rollproof.contract.subject import Subject
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


@pytest.fixture(scope="module")
def defined(subject: Subject) -> Iterator[Subject]:
    """The store with what the changes of schemas change: each is made after those before it."""
    try:
        subject.define()
        yield subject
    finally:
        subject.undefine()


def _everything(subject: Subject, content: Reader) -> object:
    return content.schemas(), {name: whole(content, name) for name in subject.defined}


def test_every_change_of_a_schema_is_seen(
    defined: Subject, content: Reader, before: Reading, schema_change: str
) -> None:
    schemas = _everything(defined, content)
    assert _everything(defined, content) == schemas
    defined.schema_changes[schema_change](defined)
    assert _everything(defined, content) != schemas
    assert whole(content, defined.full) == before.digests[0]
