"""`allure-results.sha256`: what the raw results were when the run ended, for ``sha256sum --check``.

What is written there of a result stays: a result that differs later was changed, and the record says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from fixtures.files import read_regular, sha256_of, write_whole
from reports.allure_metadata import RESULTS

CHECKSUMS = f"{RESULTS}.sha256"
_LINE = re.compile(rf"([0-9a-f]{{64}})  {re.escape(RESULTS)}/([^/]+)")
# What stands beside the results each run writes anew.
_SEALED = re.compile(r".+-(?:result|container)\.json|.+-attachment.*")
_SHOWN = 3


def add_checksums(incident_folder: Path, anew: Collection[str] = ()) -> Path:
    """Write the checksum of each raw result, sorted by name, beside their folder; return the path.

    ``sha256sum --check allure-results.sha256`` in the incident's folder compares them. What was sealed stays
    so, but for the files named in `anew`, which are as they are now.
    """
    digests = {path.name: sha256_of(path) for path in (incident_folder / RESULTS).iterdir() if path.is_file()}
    sealed, damaged = _sealed(incident_folder)
    digests |= {name: digest for name, digest in sealed.items() if name not in anew}
    lines = [f"{digests[name]}  {RESULTS}/{name}\n" for name in sorted(digests)]
    written = incident_folder / CHECKSUMS
    # A line that is damaged stays: without it nothing would be wrong the next time.
    lines += [f"{line}\n" for line in damaged]
    write_whole(written, "".join(lines).encode("utf-8", "surrogateescape"), mode=0o644)
    return written


def broken_seals(incident_folder: Path) -> Iterator[str]:
    """Yield in words what is not as it was sealed: results that were changed or are gone, damaged lines.

    Raises:
        OSError: one of the files cannot be read.
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
    """Return the digests of results that are written, by the names of their files, and the damaged lines."""
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
