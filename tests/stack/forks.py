"""Commands of ours as forks of a process that has imported what they need, which takes most of their time."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

from rollproof.system.command import STANDARD_ERROR, STANDARD_OUTPUT

# What commands import when they need it. Some of it takes a second, in each of hundreds of processes.
DRIVERS = ("pymysql", "pymongo", "redis", "minio", "kafka", "pymilvus")
PRELOADED = ["rollproof.cli.command_line", "pytest", *DRIVERS]


@cache
def _context() -> ForkServerContext:
    # Numpy, which a driver imports, would start threads, which a fork does not have.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def run_module(
    module: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` in `folder` to its end; keep output and errors.

    Raises:
        subprocess.TimeoutExpired: it did not end within `seconds`, and was killed.
    """
    with tempfile.NamedTemporaryFile("w+") as output, tempfile.NamedTemporaryFile("w+") as errors:
        known = (module, [*arguments], str(folder), dict(environment), output.name, errors.name)
        process = _context().Process(target=_become, args=known)
        process.start()
        process.join(seconds)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([module, *arguments], seconds, output.read(), errors.read())
        code = process.exitcode
        assert code is not None
        return subprocess.CompletedProcess([module, *arguments], code, output.read(), errors.read())


def _become(
    module: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str], *files: str
) -> None:
    """Run the module in this process, with its environment, folder, arguments and files."""
    for number, file in zip((STANDARD_OUTPUT, STANDARD_ERROR), files, strict=True):
        opened = os.open(file, os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv[1:] = arguments
    sys.path[0] = folder
    runpy.run_module(module, run_name="__main__", alter_sys=True)
