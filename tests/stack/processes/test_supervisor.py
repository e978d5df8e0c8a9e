"""Targets of a real Supervisor: processes as containers, a verdict from three lines, what is refused."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollback_actions.containers.control import open_control
from rollback_actions.session.session import LockFiles, TargetLock
from rollproof.engines.engine import Container, EngineUnreached, open_engine
from rollproof.errors import ExitCode, UsageProblem
from rollproof.profile.profile import Engine
from tests.conftest import ROOT
from tests.real_git import git
from tests.waiting import until

SECONDS = 120
PROGRAM = Path(sys.executable)
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "16")
        self.end_headers()
        self.wfile.write(b'{"status": "UP"}')
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("part", "w").write(str(server.server_port))
os.rename("part", "port")
server.serve_forever()
"""
PROGRAMS = """
[supervisord]
logfile=%(here)s/log
pidfile=%(here)s/pid
nodaemon=true
[unix_http_server]
file=%(here)s/socket
username=operator
password=of-the-socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%(here)s/socket
username=operator
password=of-the-socket
[program:web]
command=PYTHON server.py
directory=%(here)s/code
environment=TOKEN="a-secret-of-web"
startsecs=0
[program:seed]
command=true
autorestart=unexpected
startsecs=0
directory=%(here)s/code
[program:pair]
command=sleep 3600
process_name=%(program_name)s_%(process_num)d
numprocs=2
startsecs=0
"""


@dataclass(frozen=True)
class Site:
    """A folder with a Supervisor, its programs and their code."""

    folder: Path

    @property
    def engine(self) -> Engine:
        """Its section of a profile."""
        return Engine(kind="supervisor", project=self.name, files=(self.folder / "supervisord.conf",))

    @property
    def name(self) -> str:
        """A name that no other test has."""
        return f"site-{self.folder.name.lower()}"

    @property
    def containers(self) -> Mapping[str, tuple[Container, ...]]:
        """Its processes now."""
        return open_engine(self.engine).containers()

    def supervisorctl(self, *words: str) -> None:
        """Do as an operator would, and wait until it is done."""
        program = PROGRAM.with_name("supervisorctl")
        subprocess.run(
            [program, "-c", self.folder / "supervisord.conf", *words], timeout=SECONDS, check=False
        )

    def rollproof(self, *words: str, more: str = "", engine: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command on it; `more` is the rest of its profile, and `engine` of that section."""
        profile = self.folder / "site.toml"
        written = self.folder / "code" / "port"
        port = until(lambda: written.exists() and written.read_text(encoding="ascii"))
        profile.write_text(
            f'name = "site"\nengine = {{kind = "supervisor", project = "{self.name}",'
            f' files = ["supervisord.conf"]{engine}}}\n'
            f'application = {{url = "http://127.0.0.1:{port}", api = "", repository = "code",'
            f' services = ["web"], interface = ""}}\n{more}',
            encoding="utf-8",
        )
        return subprocess.run(
            [sys.executable, "-m", "rollproof", *words, f"--target={profile}"],
            cwd=ROOT,
            env={**os.environ, "PYTEST_ADDOPTS": "-p tests.unrendered"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )


@contextmanager
def supervised(site: Site) -> Iterator[None]:
    """Have the Supervisor run, and every program begun."""
    program = [
        str(Path(sys.executable).with_name("supervisord")),
        "-c",
        str(site.folder / "supervisord.conf"),
    ]
    with subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until((site.folder / "socket").exists)
            until(lambda: site.containers["seed"][0].status == "exited")
            yield
        finally:
            process.terminate()
            process.wait(SECONDS)


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose Supervisor runs. A socket's path is short, as those of tests are not."""
    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as folder:
        found = Site(Path(folder))
        code = found.folder / "code"
        code.mkdir()
        (code / "server.py").write_text(SERVER, encoding="utf-8")
        (code / ".gitignore").write_text("port\npart\n", encoding="utf-8")
        git(code, "init", "--quiet")
        git(code, "add", "--all")
        git(code, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "one")
        text = PROGRAMS.replace("PYTHON", sys.executable)
        (found.folder / "supervisord.conf").write_text(text, encoding="utf-8")
        with supervised(found):
            yield found


def test_processes_are_containers(site: Site) -> None:
    there = site.containers
    (web,), (seed,), pair = there["web"], there["seed"], there["pair"]
    assert (web.name, web.running, web.status, web.restart) == ("web", True, "running", "on-failure")
    assert (seed.completed, web.completed) == (True, False)
    assert [one.name for one in pair] == ["pair:pair_0", "pair:pair_1"]
    assert web.revision == git(site.folder / "code", "rev-parse", "HEAD").strip()
    assert "a-secret-of-web" not in repr(web)
    assert (web.settings["command"], [*web.private]) == (f"{sys.executable} server.py", ["environment"])
    engine = open_engine(site.engine)
    used = engine.usage()[web.id]
    assert (used.pids, used.service, used.memory > 0) == (1, "web", True)
    assert {one.service for one in engine.running()} == {"web", "pair"}
    site.supervisorctl("stop", "web")
    (web,) = site.containers["web"]
    assert (web.running, web.status, web.completed) == (False, "stopped", False)
    assert web.remedy.endswith("tail web")


def test_code_that_changed_after_the_start_is_another_image(site: Site) -> None:
    (before,) = site.containers["web"]
    code = site.folder / "code" / "server.py"
    code.write_text(f"{SERVER}\n# changed", encoding="utf-8")
    (changed,) = site.containers["web"]
    assert (changed.image_id != before.image_id, changed.revision) == (True, None)
    code.write_text(SERVER, encoding="utf-8")
    later = code.stat().st_mtime + 60
    os.utime(code, (later, later))
    (unknown,) = site.containers["web"]
    assert (unknown.image_id != before.image_id, unknown.revision) == (True, None)
    os.utime(code, (0, 0))
    assert site.containers["web"][0].image_id == before.image_id


def test_a_light_profile_is_verified_without_docker(site: Site) -> None:
    done = site.rollproof("verify", "verification")
    assert done.returncode == 0, done.stdout
    assert "nothing was compared with a baseline" in done.stdout
    site.supervisorctl("stop", "pair:pair_1")
    done = site.rollproof("verify", "verification")
    assert done.returncode == ExitCode.FAILED
    assert "container pair:pair_1: expected running, observed stopped" in done.stdout


def test_what_changes_a_target_is_refused(site: Site) -> None:
    with pytest.raises(UsageProblem, match="expected an engine of kind compose or swarm"):
        open_control(site.engine)


def test_one_that_does_not_answer_is_unreached() -> None:
    with tempfile.TemporaryDirectory(prefix="rp", dir="/tmp") as folder:
        site = Site(Path(folder))
        (site.folder / "supervisord.conf").write_text(PROGRAMS, encoding="utf-8")
        with pytest.raises(EngineUnreached, match="No such file"):
            open_engine(site.engine).containers()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
            silent.bind(str(site.folder / "socket"))
            silent.listen()
            engine = open_engine(site.engine.model_copy(update={"deadline_seconds": 0.2}))
            with pytest.raises(EngineUnreached, match=r"expected an answer within 0\.2 s"):
                engine.containers()


def test_the_lock_of_a_target_is_in_files() -> None:
    records = LockFiles(f"test-{uuid.uuid4().hex[:8]}")
    try:
        with TargetLock(records, "site", "backup"):
            with pytest.raises(UsageProblem, match="expected free, observed held by"):
                TargetLock(records, "site", "backup").__enter__()
            held = records.add(1, {"another": "writer"})
            assert "another" not in held
        with TargetLock(records, "site", "capture"):
            pass
    finally:
        records.remove(records.records())
        records.folder.rmdir()


def test_files_and_rows_of_a_folder_are_compared(site: Site) -> None:
    data = site.folder / "data"
    (data / "notes").mkdir(parents=True)
    (data / "notes" / "one.txt").write_text("one", encoding="utf-8")
    with closing(sqlite3.connect(data / "app.db")) as database:
        database.execute("CREATE TABLE chat (id INTEGER PRIMARY KEY, text TEXT)")
        database.executemany("INSERT INTO chat VALUES (?, ?)", [(1, "a"), (2, "b")])
        database.commit()
    store = f'[stores.files]\nkind = "mounts"\nrisk = "low"\nheld = ["web:{data}"]\ntogether = []\n'
    engine = f', places = ["web:{data}"]'
    done = site.rollproof("capture", more=store, engine=engine)
    assert done.returncode == 0, done.stdout + done.stderr
    done = site.rollproof("verify", "phase4", "--no-gate", more=store, engine=engine)
    assert done.returncode == 0, done.stdout
    with closing(sqlite3.connect(data / "app.db")) as database:
        database.execute("UPDATE chat SET text = 'c' WHERE id = 2")
        database.commit()
    (data / "notes" / "one.txt").unlink()
    done = site.rollproof("verify", "phase4", "--no-gate", more=store, engine=engine)
    assert done.returncode == ExitCode.FAILED
    (content,) = (
        line
        for file in (site.folder / "incidents").rglob("results.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "test_collection_content" in line and '"verdict": "failed"' in line
    )
    assert "missing notes/one.txt" in content
    assert "app.db#chat 2" in content
