"""Commands as forks of a process that has imported what they need: imports take most of a short run.

That commands work from nothing too is shown where the runbook's scripts are run, and the gate.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from conftest import pytest_plugins

IMPORTED = (
    *("pytest", "testinfra", "allure_commons", "allure_pytest", "pytest_timeout", "xdist.dsession"),
    *("httpx", "docker", "pymysql", "pymongo", "redis", "minio", "kafka", "pymilvus"),
    *("rollproof.cli.command_line", "rollproof.stores.registry", *pytest_plugins),
)
UNREWRITTEN = "-Wignore::pytest.PytestAssertRewriteWarning"
"""For pytest, which cannot rewrite the assertions of plugins that are imported already: they have none."""
# Numpy, which a driver imports, would start threads, which a fork lacks.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([*IMPORTED])


def run(
    module: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module` in `folder` to its end, within `seconds`; keep output and errors.

    Raises:
        TimeoutError: the run did not end in time, and was killed.
    """
    with tempfile.NamedTemporaryFile("r") as said, tempfile.NamedTemporaryFile("r") as errors:
        given = (module, arguments, str(folder), dict(environment), said.name, errors.name)
        process = _FORKS.Process(target=_become, args=given)
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            what = f"{module} {' '.join(arguments)}"
            raise TimeoutError(f"{what}: not within {seconds:g} s: {said.read()}{errors.read()}")
        return subprocess.CompletedProcess([module, *arguments], process.exitcode, said.read(), errors.read())


def _become(
    module: str, arguments: Sequence[str], folder: str, environment: Mapping[str, str], said: str, errors: str
) -> None:
    """Be `python -m module` in this process."""
    for number, file in ((1, said), (2, errors)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
