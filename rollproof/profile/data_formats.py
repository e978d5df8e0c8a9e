"""Whether a server can read what another one has written: by one rule, on the versions of their formats.

A server reads its own format. An earlier one is refused: vendors support no way back once a later server has
written. Whether a later server reads an earlier format is not judged: most do, some over one version alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rollproof.collection import Json

Marks = Mapping[str, Json]
"""The marks of a format, by name: ``server``, the version that writes it, and those of its kind."""

Format = tuple[int, ...]
"""The version of a format; later versions are greater."""
FormatOf = Callable[[Marks], Format | None]
"""Tells a server's format by its marks; None if they do not tell it."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)")


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


def minor_version(marks: Marks, name: str = "server") -> Format | None:
    """Return the first two numbers of the version in a mark, which most servers' formats follow."""
    found = _VERSION.match(str(marks.get(name, "")))
    return (int(found[1]), int(found[2])) if found else None


def judge(format_of: FormatOf, written: Marks, reader: Marks) -> Judgement:
    """Return whether the server of `reader` reads what the server of `written` wrote."""
    text = f"data of {_server(written)}, for {_server(reader)}"
    wrote, reads = format_of(written), format_of(reader)
    if wrote is None or reads is None:
        return unknown(f"{text}: a version that is not known here")
    if written.get("product") != reader.get("product"):
        return unknown(f"{text}: another product")
    if wrote == reads:
        return fits(text)
    return refused(f"{text}: an earlier one") if wrote > reads else unknown(f"{text}: a later one")


def _server(marks: Marks) -> str:
    names = [str(marks[name]) for name in ("product", "server") if name in marks]
    return " ".join(names) or "an unknown server"
