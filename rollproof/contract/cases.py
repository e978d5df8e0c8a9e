"""How subjects of any registry are given to the contract of readers: the cases of each test, and fixtures."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import pytest

from rollproof.contract.reading import Reading, read
from rollproof.contract.subject import Subject
from rollproof.stores.reader import Reader

SomeSubject = TypeVar("SomeSubject", bound=Subject)
ONLY = "only(attribute): of the contract, for subjects that have this"


def parametrize(
    metafunc: pytest.Metafunc,
    subjects: Mapping[str, type[SomeSubject]],
    marks: Callable[[type[SomeSubject], bool], Collection[pytest.MarkDecorator]] = lambda *_: (),
) -> None:
    """Give each test the stores it is for, of which `STORES` of its module are a choice, and their shapes.

    `marks` of a case are by its subject, and whether an earlier shape shows the rule.
    """
    if "subject" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only")
    names: Iterable[str] = [
        name
        for name in getattr(metafunc.module, "STORES", subjects)
        if only is None or getattr(subjects[name], only.args[0])
    ]
    if "shape" not in metafunc.fixturenames:
        alone = [pytest.param(name, marks=marks(subjects[name], False)) for name in names]
        metafunc.parametrize("subject", alone, indirect=True, scope="package")
        return
    cases = [
        pytest.param(name, shape, id=f"{name}-{shape}", marks=marks(subjects[name], number > 0))
        for name in names
        for number, shape in enumerate(subjects[name].shapes)
    ]
    metafunc.parametrize(("subject", "shape"), cases, indirect=["subject"], scope="package")


@contextmanager
def filled(subject: SomeSubject) -> Iterator[SomeSubject]:
    """Give a subject, filled, and clear it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for limit in subject.limits:
            monkeypatch.setattr(*limit)
        try:
            subject.fill()
            yield subject
        finally:
            subject.clear()


@pytest.fixture
def mended(subject: Subject) -> Iterator[None]:
    """See that the records are known again at the end of the test."""
    yield
    subject.mend()


@pytest.fixture(scope="package")
def content(subject: Subject) -> Iterator[Reader]:
    """The content reader, open for as long as the store is filled."""
    with subject.reader() as opened:
        yield opened


@pytest.fixture(scope="package")
def before(subject: Subject, content: Reader) -> Reading:
    """What there is to read of `full`."""
    return read(content, subject.full)
