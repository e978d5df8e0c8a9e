"""What the product does in one place: it starts programs and threads, imports by text, deletes volumes.

Whoever else does is named with a reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache

import pytest

from tests.conftest import ROOT

PRODUCT = ("checks", "fixtures", "reports", "rollback_actions", "rollproof")

PROGRAMS: Mapping[str, str] = {
    "rollproof/system/command.py": "the runner of programs",
    "rollproof/redaction/secret.py": "what prints a secret of the profile",
    "reports/bundle/verify_record.py": "the checker in each bundle, which has to stand alone",
    "rollproof/cli/after_commands.py": "pytest takes the place of the command `verify`",
}
OF_STAGING: Mapping[str, str] = {
    "staging/rehearsal/rehearsal.py": "the monitor beside a rehearsal",
    "staging/drills/watch.py": "the monitor beside a drill",
    "staging/kills/kill.py": "a rollback that is there to be killed",
}
"""Programs that run beside what starts them; all others are run to their end by the runner."""
THREADS: Mapping[str, str] = {
    "rollproof/system/side_by_side.py": "the engine of parts side by side",
    "rollproof/system/http.py": "a timer that cuts the connection of an answer that comes too slowly",
    "reports/answers/monitor_view.py": "one thread shows samples: a beat never waits for a reader",
    "rollproof/monitoring/monitor_metrics.py": "one thread serves for as long as the monitor beats",
}
BY_TEXT: Mapping[str, str] = {
    "rollproof/stores/drivers.py": "what a descriptor names is imported when its store is used",
    "rollproof/profile/kinds.py": "a kind of store is found by its package, and named nowhere",
}

DELETES_VOLUMES: Mapping[str, str] = {
    "rollproof/engines/compose.py": "anonymous volumes of the container that it made to read an image",
    "rollback_actions/containers/volumes.py": "files of stopped containers, to load a backup; helpers' own",
    "rollback_actions/backup/scratch.py": "those of the instance that it made",
    "rollback_actions/session/lock.py": "the records of the lock",
}

IN_CONTAINERS = {"application", "images"}
STARTS_PROGRAMS = {"subprocess", "multiprocessing", "pty", "pexpect", "sh", "plumbum", "invoke"}
STARTS_THREADS = {"concurrent", "_thread", "multiprocessing", "joblib"}
OF_OS = ("exec", "fork", "popen", "posix_spawn", "spawn", "startfile", "system")
OF_THREADING = {"Thread", "Timer", "*"}
OF_ASYNCIO = {"create_subprocess_exec", "create_subprocess_shell", "subprocess"}
OF_SERVERS = {
    "http.server",
    "socketserver",
    "prometheus_client",
    "prometheus_client.exposition",
    "logging.handlers",
}
THREADED = ("Threading", "QueueListener", "start_")
IMPORTERS = {"importlib": "import_module", "pkgutil": "resolve_name", "runpy": "run_"}
# A future is what `Workers.begin` returns: who only names its type starts nothing.
ONLY_NAMED = {"Future"}


@cache
def _names(source: str) -> frozenset[tuple[str, str]]:
    """Return what a module takes from other modules: which one, and the name in it, "" for all of it."""
    return frozenset(_taken(source))


def _taken(source: str) -> Iterator[tuple[str, str]]:
    tree = ast.parse(source)
    aliases = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.asname
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, "") for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from ((module, alias.name) for alias in node.names)
            case ast.Attribute(value=ast.Name(id=module), attr=name):
                yield aliases.get(module, module), name
            case ast.Name(id="__import__"):
                yield "importlib", "import_module"
            case _:
                pass


def _starts_programs(source: str) -> bool:
    return any(
        module.split(".")[0] in STARTS_PROGRAMS
        or (module == "os" and name.startswith(OF_OS))
        or (module.split(".")[0] == "asyncio" and name in OF_ASYNCIO)
        for module, name in _names(source)
    )


def _starts_threads(source: str) -> bool:
    return any(
        (module.split(".")[0] in STARTS_THREADS and name not in ONLY_NAMED)
        or (module == "threading" and name in OF_THREADING)
        or (module.split(".")[0] == "asyncio" and name == "to_thread")
        or (module in OF_SERVERS and name.startswith(THREADED))
        or name == "run_in_executor"
        for module, name in _names(source)
    )


def _imports_by_text(source: str) -> bool:
    return any(module in IMPORTERS and name.startswith(IMPORTERS[module]) for module, name in _names(source))


def _deletes_volumes(source: str) -> bool:
    """Return whether a module deletes or empties volumes: by the engine's API, by `docker`, or by a shell."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr="remove_volume" | "prune_volumes"):
                return True
            case ast.Call(func=ast.Attribute(attr="remove_container"), keywords=keywords):
                if any(keyword.arg == "v" for keyword in keywords):
                    return True
            case ast.List(elts=elements) | ast.Tuple(elts=elements):
                words = [one.value for one in elements if isinstance(one, ast.Constant)]
                if {"rm", "down"} & {*words} and {"--volumes", "-v", "-fv", "volume"} & {*words}:
                    return True
                if {"volume", "system"} & {*words} and "prune" in words:
                    return True
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                if " -delete" in text or "rm -rf " in text:
                    return True
    return False


def _product() -> dict[str, str]:
    return {"conftest.py": (ROOT / "conftest.py").read_text(encoding="utf-8"), **_of(*PRODUCT)}


def _of(*rooms: str) -> dict[str, str]:
    paths = (path for room in rooms for path in sorted((ROOT / room).rglob("*.py")))
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def test_programs_are_started_in_one_place() -> None:
    """Who is named here beside the runner says why; who starts none any more is named no longer."""
    assert {path for path, source in _product().items() if _starts_programs(source)} == {*PROGRAMS}


def test_volumes_are_deleted_by_those_alone_that_are_named() -> None:
    assert {path for path, source in _product().items() if _deletes_volumes(source)} == {*DELETES_VOLUMES}


def test_staging_runs_programs_to_their_end_in_the_same_place() -> None:
    # What the containers run is not of the house.
    own = {path: source for path, source in _of("staging").items() if path.split("/")[1] not in IN_CONTAINERS}
    assert {path for path, source in own.items() if _starts_programs(source)} == {*OF_STAGING}


def test_no_text_is_split_into_a_command() -> None:
    """What is to be run as it was advised carries its words: `rollproof.system.command.Command`."""
    every = {**_product(), **_of("staging")}
    assert not [path for path, source in every.items() if ("shlex", "split") in _names(source)]


def test_threads_are_started_in_one_place() -> None:
    """Who is named here beside the engine says why; who starts none any more is named no longer."""
    assert {path for path, source in _product().items() if _starts_threads(source)} == {*THREADS}


def test_modules_are_imported_by_text_in_one_place() -> None:
    """No table of layers knows of such an import, so each has its reason."""
    assert {path for path, source in _product().items() if _imports_by_text(source)} == {*BY_TEXT}


@pytest.mark.parametrize(
    "source",
    [
        "from importlib import import_module",
        "import importlib\nimportlib.import_module('rollproof.stores.registry')",
        "__import__('rollproof.stores.registry')",
        "from pkgutil import resolve_name",
        "from runpy import run_module",
    ],
)
def test_every_way_to_import_by_text_is_found(source: str) -> None:
    assert _imports_by_text(source)
    assert not _imports_by_text("from importlib.metadata import version\nimport importlib")


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess",
        "from subprocess import run",
        "import os\npid = os.fork()",
        "import os\nos.execvp('git', ['git'])",
        "from os import posix_spawn",
        "import os\nos.system('git status')",
        "from multiprocessing import Process",
        "import asyncio\nasyncio.create_subprocess_exec('git')",
        "def late():\n    import subprocess",
        "import os as system\nsystem.fork()",
        "import asyncio as a\na.create_subprocess_exec('git')",
        "from asyncio import subprocess",
    ],
)
def test_every_way_to_start_a_program_is_found(source: str) -> None:
    assert _starts_programs(source)


@pytest.mark.parametrize(
    "source",
    [
        "import concurrent.futures",
        "from concurrent.futures import ThreadPoolExecutor",
        "from concurrent import futures",
        "import threading\nthreading.Thread(target=print).start()",
        "from threading import Timer",
        "from multiprocessing.pool import ThreadPool",
        "import asyncio\nasyncio.to_thread(print)",
        "import threading as t\nt.Thread(target=print).start()",
        "from threading import *",
        "from http.server import ThreadingHTTPServer",
        "import socketserver\nsocketserver.ThreadingMixIn",
        "from prometheus_client import start_http_server",
        "from prometheus_client.exposition import ThreadingWSGIServer",
        "loop.run_in_executor(None, print)",
    ],
)
def test_every_way_to_start_a_thread_is_found(source: str) -> None:
    assert _starts_threads(source)


def test_locks_and_futures_start_nothing() -> None:
    source = (
        "import os\nfrom concurrent.futures import Future\nfrom threading import Lock\nos.replace('a', 'b')"
    )
    assert not _starts_threads(source)
    assert not _starts_programs(source)


def _takes_the_first_line(source: str) -> list[str]:
    """Return where a text made of an object is cut to its first line: errors of ours have `summary`."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "splitlines"
        and isinstance(node.value.func.value, ast.Call)
        and isinstance(node.value.func.value.func, ast.Name)
        and node.value.func.value.func.id == "str"
    ]


def test_the_first_line_of_an_error_is_its_summary() -> None:
    found = {path: said for path, source in _product().items() if (said := _takes_the_first_line(source))}
    assert found == {"rollproof/errors.py": ["str(self).splitlines()[0]"]}


SIGNALS: Mapping[str, str] = {
    "fixtures/gating/windows.py": "the alarm of a window, which nobody sends",
    "rollproof/system/process.py": "the one place: who takes SIGTERM takes SIGHUP, unless `nohup` ignores it",
    "rollback_actions/session/session.py": "a lost terminal is ignored while the target is changed",
    "staging/images/milvus/entry.py": "the first process of a container, which has no terminal to lose",
}


def test_signals_are_handled_in_one_place() -> None:
    sources = {**_product(), **_of("staging")}
    assert {path for path, source in sources.items() if ("signal", "signal") in _names(source)} == {*SIGNALS}
