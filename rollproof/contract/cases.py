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
# An argument of a test, and the table of a subject that has its cases.
CASES = {
    "change": "changes",
    "equal": "equals",
    "schema_change": "schema_changes",
    "shape": "shapes",
    "way": "ways",
    "attempt": "attempts",
    "bound": "garbled",
}
# Of which the first one of a subject shows the rule.
VARIED = frozenset({"shape"})
ONLY = "only(attribute): of the contract, for subjects that have this"


def parametrize(
    metafunc: pytest.Metafunc,
    subjects: Mapping[str, type[SomeSubject]],
    marks: Callable[[type[SomeSubject], str, bool], Collection[pytest.MarkDecorator]] = lambda *_: (),
) -> None:
    """Give each test the stores it is for, of which `STORES` of its module are a choice, and their cases.

    `marks` of a case are by its subject, its name, and whether an earlier case shows the rule.
    """
    if "subject" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("only")
    names: Iterable[str] = [
        name
        for name in getattr(metafunc.module, "STORES", subjects)
        if only is None or getattr(subjects[name], only.args[0])
    ]
    case = next((argument for argument in CASES if argument in metafunc.fixturenames), None)
    if case is None:
        alone = [pytest.param(name, marks=marks(subjects[name], "", False)) for name in names]
        metafunc.parametrize("subject", alone, indirect=True, scope="package")
        return
    cases = []
    for name in names:
        for number, each in enumerate(getattr(subjects[name], CASES[case])):
            of_case = marks(subjects[name], each, case in VARIED and number > 0)
            cases.append(pytest.param(name, each, id=f"{name}-{each}", marks=of_case))
    metafunc.parametrize(("subject", case), cases, indirect=["subject"], scope="package")


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
