"""Whether a server can read what another one has written: what is judged, and the judgement.

Each kind of store brings its own rules, those that its vendor documents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollproof.collection import Json

Marks = Mapping[str, Json]
"""The marks of a format, by name: ``server``, the version that writes it, and those of its kind."""

Release = tuple[int, int, int]

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


class Fit(StrEnum):
    """A judgement. Unknown is neither a refusal nor a permission: it is said, with its reason."""

    FITS = "fits"
    REFUSED = "refused"
    UNKNOWN = "not judged"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judgement, and its reason in words."""

    fit: Fit
    reason: str


def fits(reason: str) -> Judgement:
    """Return that it fits."""
    return Judgement(Fit.FITS, reason)


def refused(reason: str) -> Judgement:
    """Return that the server would refuse it."""
    return Judgement(Fit.REFUSED, reason)


def unknown(reason: str) -> Judgement:
    """Return that it is not known."""
    return Judgement(Fit.UNKNOWN, reason)


def release_of(marks: Marks, name: str = "server") -> Release | None:
    """Return the version in a mark as three numbers, or None for a missing one or another form."""
    found = _VERSION.match(str(marks.get(name, "")))
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def unversioned(written: Marks, reader: Marks) -> Judgement:
    """Return that one of both versions is not known."""
    return unknown(f"versions {written.get('server', 'unknown')} and {reader.get('server', 'unknown')}")
