"""Cuts the long tests into parts of about equal length, the same on every day and every machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pytest

from rollproof.errors import UsageProblem

VARIANT = pytest.mark.long(minutes=0.1)
"""Of a case whose rule another case shows in the default run, with other data or another way to it."""
# Minutes of the default run, which belongs to the first part.
DEFAULT_MINUTES = 8.0


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the tests: ``2/4`` is the second of four."""

    number: int
    of: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a share such as ``2/4``.

        Raises:
            UsageProblem: `text` is no share.
        """
        found = re.fullmatch(r"([1-9][0-9]?)/([1-9][0-9]?)", text)
        if found is None or int(found[1]) > int(found[2]):
            raise UsageProblem(
                what="part of the tests",
                expected="K/N, such as 2/4: the second of four",
                observed=text or "nothing",
                source="--part",
                hint="./run tests --all --part 1/4",
            )
        return cls(int(found[1]), int(found[2]))

    @property
    def first(self) -> bool:
        """Whether the share includes the default run."""
        return self.number == 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def cut(tests: Mapping[str, float], parts: int) -> list[set[str]]:
    """Cut `tests`, with their minutes, into `parts`: the longest first, each into the shortest part."""
    found: list[set[str]] = [set() for _ in range(parts)]
    minutes = [DEFAULT_MINUTES, *([0.0] * (parts - 1))]
    for test, own in sorted(tests.items(), key=lambda item: (-item[1], item[0])):
        least = min(range(parts), key=lambda part: (minutes[part], part))
        found[least].add(test)
        minutes[least] += own
    return found
