"""`allure-results.sha256`: checksums of the raw results at the end of the run, for ``sha256sum --check``.

A result's line stays as first written: a result that differs later was changed, and the record says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from rollproof.reading import read_regular
from rollproof.record_names import CHECKSUMS, RESULTS
from rollproof.system.files import sha256_of, write_whole

_LINE = re.compile(rf"([0-9a-f]{{64}})  {re.escape(RESULTS)}/([^/]+)")
# Only these are sealed: each run rewrites the other files of the folder.
_SEALED = re.compile(r".+-(?:result|container)\.json|.+-attachment.*")
_SHOWN = 3


def add_checksums(incident_folder: Path, anew: Collection[str] = ()) -> Path:
    """Write the checksum of each raw result, sorted by name, next to their folder; return the path.

    ``sha256sum --check allure-results.sha256`` in the incident's folder compares them. Earlier checksums
    stay, except for the files named in `anew`, which are hashed again.
    """
    digests = {path.name: sha256_of(path) for path in (incident_folder / RESULTS).iterdir() if path.is_file()}
    sealed, damaged = _sealed(incident_folder)
    digests |= {name: digest for name, digest in sealed.items() if name not in anew}
    lines = [f"{digests[name]}  {RESULTS}/{name}\n" for name in sorted(digests)]
    written = incident_folder / CHECKSUMS
    # A damaged line stays: without it, the next check would find nothing wrong.
    lines += [f"{line}\n" for line in damaged]
    write_whole(written, "".join(lines).encode("utf-8", "surrogateescape"), mode=0o644)
    return written


def broken_seals(incident_folder: Path) -> Iterator[str]:
    """Yield each broken seal in words: results that were changed or are missing, damaged lines.

    Raises:
        OSError: a file cannot be read.
    """
    sealed, damaged = _sealed(incident_folder)
    changed, missing = [], []
    for name, digest in sorted(sealed.items()):
        path = incident_folder / RESULTS / name
        if not path.is_file():
            missing.append(name)
        elif sha256_of(path) != digest:
            changed.append(name)
    if damaged:
        yield f"{len(damaged)} lines are damaged: nobody knows what the results that they name were"
    for names, what in ((changed, "changed"), (missing, "missing")):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            yield f"{what} since the run that wrote them: {', '.join(names[:_SHOWN])}{more}"


def _sealed(incident_folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return the recorded digests of results, by file name, and the damaged lines."""
    path = incident_folder / CHECKSUMS
    text = read_regular(path).decode("utf-8", "surrogateescape") if path.exists() else ""
    sealed, damaged = {}, []
    for line in filter(None, text.split("\n")):
        found = _LINE.fullmatch(line)
        if found is None:
            damaged.append(line)
        elif _SEALED.fullmatch(found[2]):
            sealed[found[2]] = found[1]
    return sealed, damaged
