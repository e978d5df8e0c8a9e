"""The title of a check in words."""

from __future__ import annotations


def title_of(check: str) -> str:
    """Return a check's name, or node id, in words.

    >>> title_of("checks/a.py::test_backup_is_recent[redis]")
    'backup is recent: redis'
    """
    name, _, case = check.partition("[")
    words = name.rsplit("::", maxsplit=1)[-1].removeprefix("test_").replace("_", " ")
    return f"{words}: {case.removesuffix(']')}" if case else words


def heading_of(check: str) -> str:
    """Return the same as a line of its own begins.

    >>> heading_of("checks/a.py::test_backup_is_recent[redis]")
    'Backup is recent: redis'
    """
    words = title_of(check)
    return words[:1].upper() + words[1:]
