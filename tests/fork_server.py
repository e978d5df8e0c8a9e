"""A Python process with every run's imports done, which forks a separate process for each run.

Most of the time of a short `python -m pytest` goes into imports, and each worker repeats them. A fork has
them done and is still a real process, with its own memory, signals, output, exit code and workers. Other
tests start the plugin from nothing, to show that this works too.
"""

from __future__ import annotations

import atexit
import gc
import importlib.metadata
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

ROOT = Path(__file__).resolve().parent.parent
_LONGEST = 128 * 1024  # bytes of one message
# Modules that xdist imports if there are workers.
_OF_WORKERS = ("execnet.gateway_base", "xdist.dsession", "xdist.remote", "xdist.workermanage")
# Arguments that ask for workers; the last one counts.
_WORKERS = re.compile(r"-n(\d+)|(\d+)\*popen")


@dataclass(frozen=True)
class Order:
    """A run to start: `python -m module arguments`, with up to `workers` workers at once.

    The module `-c` runs its first argument, a program.
    """

    module: str
    arguments: list[str]
    folder: str
    environment: dict[str, str]
    workers: int


def workers_in(arguments: Sequence[str]) -> int:
    """Return the number of workers that pytest's arguments ask for."""
    asked = [int(found[1] or found[2]) for found in map(_WORKERS.fullmatch, arguments) if found]
    return asked[-1] if asked else 0


class ForkServer:
    """Starts runs in turn; they have imported `modules` in addition to those of a run of pytest."""

    def __init__(self, modules: Sequence[str] = (), *, path: Sequence[Path] = ()) -> None:
        """Start the server, which finds distributions in the folders of `path` too."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *modules],
                cwd=ROOT,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(map(str, path)),
                    # Numpy, which a driver imports, would start threads.
                    "OPENBLAS_NUM_THREADS": "1",
                },
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, order: Order, stdout: int, stderr: int) -> ForkedRun:
        """Start a run that writes into two open files."""
        socket.send_fds(self._channel, [json.dumps(asdict(order)).encode()], [stdout, stderr])
        return ForkedRun(self._channel)

    def run(
        self,
        module: str,
        *arguments: str,
        folder: Path = ROOT,
        environment: Mapping[str, str] | None = None,
        seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m module` in `folder` to its end, within `seconds`; keep output and errors.

        Raises:
            TimeoutError: the run did not end in time, and was killed.
        """
        known = dict(os.environ if environment is None else environment)
        order = Order(module, list(arguments), str(folder), known, workers_in(arguments))
        with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
            code = self.start(order, said.fileno(), errors.fileno()).wait(seconds)
            for file in (said, errors):
                file.seek(0)
            return subprocess.CompletedProcess([module, *arguments], code, said.read(), errors.read())

    def close(self) -> None:
        """End the server."""
        self._channel.close()
        self._server.wait()


class ForkedRun:
    """A run of the server, with the parts of `subprocess.Popen` that callers use."""

    stdin = None

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self.pid = self._answer()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the run's exit code; kill the run if the wait ends early.

        Raises:
            TimeoutError: the run did not end within `timeout` seconds.
        """
        self._channel.settimeout(timeout)
        try:
            return self._answer()
        except BaseException:
            os.kill(self.pid, signal.SIGKILL)
            self._channel.settimeout(None)
            self._answer()
            raise

    def _answer(self) -> int:
        return int(self._channel.recv(_LONGEST))


def _serve(channel: socket.socket) -> Order | None:
    """Fork a process for each order; return the order in that process, and None here after the last one."""
    while True:
        message, files, _, _ = socket.recv_fds(channel, _LONGEST, 2)
        if not message:
            return None
        pid = os.fork()
        if pid == 0:
            channel.close()
            for number, file in enumerate(files, 1):
                os.dup2(file, number)
                os.close(file)
            return Order(**json.loads(message))
        for file in files:
            os.close(file)
        channel.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        channel.send(str(os.waitstatus_to_exitcode(status)).encode())


class _Worker:
    """A run's child that waits until execnet needs it, with the parts of `subprocess.Popen` it uses."""

    def __init__(self, pid: int, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._pid = pid
        self._code: int | None = None
        self.stdin = stdin
        self.stdout = stdout

    def wait(self) -> int:
        """Wait for the worker's exit code."""
        if self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._code

    def kill(self) -> None:
        """Kill the worker if it still runs."""
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)


def _fork_worker(others: Sequence[_Worker]) -> _Worker | None:
    """Fork a worker and return it; return None in the worker itself."""
    told, tell = os.pipe()
    heard, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        os.close(say)
        return _Worker(pid, os.fdopen(tell, "wb"), os.fdopen(heard, "rb"))
    os.dup2(told, 0)
    os.dup2(say, 1)
    for file in (told, say, tell, heard):
        os.close(file)
    for other in others:
        # Open copies would keep the other workers alive after their run has ended.
        other.stdin.close()
        other.stdout.close()
    return None


def _hand_out(workers: list[_Worker]) -> None:
    """Make execnet take these workers first, and start further ones as usual."""
    master: Any = import_module("execnet.gateway_io").Popen2IOMaster
    start, connect = master.__init__, master.__mro__[1].__init__

    def start_or_take(self: Any, args: list[str], execmodel: Any) -> None:  # noqa: ANN401 - it has no types
        if not workers:
            start(self, args, execmodel)
            return
        self.popen = workers.pop(0)
        connect(self, self.popen.stdin, self.popen.stdout, execmodel)

    master.__init__ = start_or_take


def _remember_packages() -> None:
    """Read once what is installed: pytest reads all of it again for each plugin that a conftest names."""
    metadata: Any = importlib.metadata
    for name in ("entry_points", "metadata"):
        setattr(metadata.Distribution, name, property(cache(getattr(metadata.Distribution, name).fget)))
    installed, search = list(metadata.distributions()), metadata.distributions
    metadata.distributions = lambda **where: search(**where) if where else installed


def _import_all(modules: Sequence[str]) -> None:
    """Import `modules`, and find each command line unimported."""
    for name in modules:
        import_module(name)
        if name.endswith(".__main__"):
            # Its imports are done. A run has to find it unimported, or Python would warn.
            del sys.modules[name]


def _import_whole(modules: Sequence[str]) -> None:
    """Import the runs' modules and `modules` through pytest, which rewrites the assertions of plugins."""
    from _pytest.config import _prepareconfig  # noqa: PLC0415

    _remember_packages()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ROOT / "conftest.py", folder)
        Path(folder, "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        config = _prepareconfig(["--capture=no", "-p", "no:cacheprovider", folder])
        config._ensure_unconfigure()
    del sys.modules["conftest"]
    _import_all((*_OF_WORKERS, *modules))
    # Also compile the patterns that each run compiles: `re` caches them.
    personal = import_module("rollproof.redaction.personal")
    personal.Personal(personal.FIELDS)


def _require_no_thread() -> None:
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError(f"a thread would be missing in a fork: {threading.enumerate()}")


def _become(order: Order, path: list[str]) -> None:
    """Give this process the environment, folder, path and arguments of `order`."""
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    given = order.environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [order.folder, *filter(None, given), *path]
    # As Python does, which takes the program for itself.
    sys.argv = [order.module, *order.arguments[order.module == "-c" :]]


def _end(code: int) -> NoReturn:
    """End this process as Python does, except the last step, which frees the fork's whole memory."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _main() -> None:
    # What is forked ends by a lost terminal, also where `nohup` has that ignored for the tests.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # The first entry is this file's folder.
    path = sys.path[1:]
    sys.path[0] = str(ROOT)
    channel = socket.socket(fileno=int(sys.argv[1]))
    _import_whole(sys.argv[2:])
    _require_no_thread()
    gc.freeze()
    order = _serve(channel)
    if order is None:
        return
    _become(order, path)
    workers: list[_Worker] = []
    for _ in range(order.workers):
        worker = _fork_worker(workers)
        if worker is None:
            # Execnet's own first command for a worker; nothing if it never needed this one.
            exec(eval(sys.stdin.readline() or "''"), {"__name__": "__main__"})  # noqa: S102, S307
            _end(0)
        workers.append(worker)
    if workers:
        _hand_out(workers)
    try:
        if order.module == "-c":
            exec(order.arguments[0], {"__name__": "__main__"})  # noqa: S102 - a test's own program
        else:
            runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        _end(end.code)


if __name__ == "__main__":
    _main()
