# ruff: noqa: INP001 -- it is mounted into a container, by itself
"""Milvus without authorization, as it is where nobody has switched that on: see `../milvus/entry.py`."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import Any

PROGRAM = "/usr/local/bin/entry"
GUARDED, OPEN = "authorizationEnabled: true", "authorizationEnabled: false"


def main() -> int:
    """Run the image's own entry with a configuration that asks nobody who he is."""
    spec = spec_from_loader("entry", SourceFileLoader("entry", PROGRAM))
    if spec is None or spec.loader is None:
        raise ImportError(PROGRAM)
    entry: Any = module_from_spec(spec)
    spec.loader.exec_module(entry)
    write = entry.write_configuration

    def write_open() -> None:
        write()
        path = entry.DATA / "configs" / "milvus.yaml"
        text = path.read_text()
        if GUARDED not in text:
            raise ValueError(f"authorization: expected {GUARDED!r}, observed none (from {path})")
        path.write_text(text.replace(GUARDED, OPEN))

    entry.write_configuration = write_open
    code: int = entry.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
