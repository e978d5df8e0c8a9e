"""Every content reader: no change of a schema goes unseen, and no writing of records is one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass
class Defined:
    """A store with what the changes of schemas change: each is made after those before it."""

    subject: Subject
    content: Reader
    latest: object = None

    def read(self) -> object:
        """Return everything that a change may show in."""
        contents = {name: whole(self.content, name) for name in self.subject.defined}
        return self.content.schemas(), contents


@pytest.fixture(scope="module")
def defined(subject: Subject, content: Reader) -> Iterator[Defined]:
    try:
        subject.define()
        made = Defined(subject, content)
        made.latest = made.read()
        assert made.read() == made.latest
        yield made
    finally:
        subject.undefine()


def test_every_change_of_a_schema_is_seen(defined: Defined, before: Reading, schema_change: str) -> None:
    defined.subject.schema_changes[schema_change](defined.subject)
    earlier, defined.latest = defined.latest, defined.read()
    assert defined.latest != earlier
    assert whole(defined.content, defined.subject.full) == before.digests[0]
