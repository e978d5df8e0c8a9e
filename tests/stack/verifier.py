"""Runs checks as an operator would, in a process of their own, and says which of them were red."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from fixtures.baseline import Baseline, BaselineDraft, load_baseline
from fixtures.recorded import Facts
from staging.apart import apart
from tests.pytester.conftest import Outcome

# A test ends sooner by its own limit, unless it says that it takes long.
CHECKS_SECONDS = 400
ACTIONS_SECONDS = 900
# Checks warn of nothing, in no state of the stack. That pytest cannot clear an old folder is not theirs.
STRICT = ("-Werror", "-Wignore:(rm_rf) error removing:pytest.PytestWarning")
# A verdict, and words that the reason holds.
Red = tuple[str, ...]


@dataclass(frozen=True)
class Verifier:
    """Checks and actions of the staging stack, in folders of a test's own, not in the user's."""

    root: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every command: this one's, with the three folders replaced."""
        # Tests roll back to one commit again and again.
        return {**apart(self.folder, HOLD_SECONDS="0"), "PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def baseline(self) -> Baseline:
        """The current baseline."""
        return load_baseline(self.folder / "baselines" / "current", "staging")

    def restated(self, change: Callable[[Facts], Facts]) -> Path:
        """Save a copy of the current baseline with other facts, beside it; return its folder."""
        beside = self.folder / f"restated-{uuid.uuid4().hex[:8]}"
        with BaselineDraft(beside, "staging") as draft:
            shutil.copytree(self.baseline.folder / "records", draft.folder / "records")
            return draft.finish(change(self.baseline.facts))

    def actions(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command line of the actions to its end, `variables` added; output and errors are kept."""
        return subprocess.run(
            [sys.executable, "-m", "rollback_actions", *arguments],
            cwd=self.root,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=ACTIONS_SECONDS,
        )

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the runbook's own commands below `deploy` to its end; output and errors are kept."""
        return subprocess.run(
            [str(self.root / "deploy" / name), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=ACTIONS_SECONDS,
        )

    def killed(self, name: str, *arguments: str, at: str, after: float = 0.0) -> Path:
        """Kill one of the runbook's commands `after` seconds of step `at`; return its incident's folder."""
        with self.begun(name, *arguments, at=at) as (_, folder):
            time.sleep(after)
        return folder

    @contextmanager
    def begun(
        self, name: str, *arguments: str, at: str, **variables: str
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Give one of the runbook's commands that has come to step `at`, and its incident's folder.

        It is killed at the end of the body, if it is still there. What it says is in its standard output.
        """
        incidents = self.folder / "incidents"
        before = set(incidents.glob("*-staging-*"))
        process = subprocess.Popen(
            [str(self.root / "deploy" / name), *arguments],
            env={**self.environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        give_up = time.monotonic() + ACTIONS_SECONDS
        try:
            while (folder := self._at(set(incidents.glob("*-staging-*")) - before, at)) is None:
                assert process.poll() is None, f"it ended before it came to the step {at}"
                assert time.monotonic() < give_up, f"it never came to the step {at}"
                time.sleep(0.1)
            yield process, folder
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=ACTIONS_SECONDS)

    def _at(self, folders: set[Path], step: str) -> Path | None:
        """Return the folder whose journal has come to `step`."""
        for folder in folders:
            journal = folder / "journal.jsonl"
            if journal.exists() and f'"step": "{step}"' in journal.read_text():
                return folder
        return None

    @contextmanager
    def monitored(self) -> Iterator[None]:
        """Let a monitor of the stack run meanwhile, as the runbook starts it."""
        process = subprocess.Popen(
            [str(self.root / "deploy" / "scripts" / "monitor_migration.sh")],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ACTIONS_SECONDS)

    def back_up(self) -> Path:
        """Take a backup set of the stack as it is, and a baseline; return the set's folder."""
        done = self.script("scripts/backup.sh")
        assert done.returncode == 0, done.stderr
        self.capture()
        (folder,) = (line for line in done.stdout.splitlines() if line.startswith("backup: "))
        return Path(folder.removeprefix("backup: "))

    def capture(self) -> None:
        """Capture anew, after a fault whose undo leaves other ids behind, such as those that Milvus makes."""
        done = self.actions("capture")
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, markers: str, *options: str, incident: str = "", **variables: str) -> Outcome:
        """Run the checks that `markers` select; `variables` replace keys of the profile.

        Without the name of an `incident` the run has one of its own.
        """
        incident = incident or f"checks-{uuid.uuid4().hex[:12]}"
        selected = ("-m", markers, f"--incident={incident}")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *STRICT, *selected, *options],
            cwd=self.root,
            env={**self.environment, **{f"ROLLPROOF_{name}": value for name, value in variables.items()}},
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECKS_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        return Outcome(done.returncode, done.stdout + done.stderr, self.folder / "incidents" / incident)


def expect(outcome: Outcome, expected: Mapping[str, Red]) -> None:
    """Assert that exactly the `expected` checks are red, each for its reason, and that the exit code says so.

    `expected` maps a check's own name to its verdict and to words of its reason.
    """
    assert outcome.code in {0, 1, 3}, outcome.text
    results = outcome.results()
    red = {name: result for name, result in results.items() if result["verdict"] != "passed"}
    unexpected = {
        name: (result["verdict"], result["reason"]) for name, result in red.items() if name not in expected
    }
    assert not unexpected, f"red without a fault: {unexpected}"
    missing = {
        name: results.get(name, {}).get("verdict", "did not run") for name in expected if name not in red
    }
    assert not missing, f"not red: {missing}"
    for name, (verdict, *words) in expected.items():
        reason = red[name]["reason"]
        assert red[name]["verdict"] == verdict, (name, reason)
        assert ": expected " in reason, (name, reason)
        assert ", observed " in reason, (name, reason)
        for word in words:
            assert word in reason, (name, word, reason)
    verdicts = {result["verdict"] for result in red.values()}
    assert outcome.code == (1 if "failed" in verdicts else 3 if verdicts else 0), outcome.text
    assert "Traceback" not in outcome.text


def store_facts(facts: Facts, name: str, counts: Mapping[str, int | None]) -> Facts:
    """Return `facts` with some counts of store `name` replaced; None takes a collection out."""
    store = facts.stores[name]
    merged = {**store.counts, **counts}
    kept = {collection: count for collection, count in merged.items() if count is not None}
    return replace(facts, stores={**facts.stores, name: replace(store, counts=kept)})


@dataclass(frozen=True)
class Reply:
    """What the small server answers: a status, a body and its type, after some seconds."""

    body: str = "{}"
    status: int = 200
    content_type: str = "application/json"
    seconds: float = 0.0


@contextmanager
def small_server(answer: Callable[[str, str], Reply]) -> Iterator[str]:
    """Serve what `answer` gives for a method and a path, in place of the application; give its address.

    For what the real application cannot be made to do. It is a test's own, and stands in for nothing else.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            reply = answer(self.command, self.path)
            finished.wait(reply.seconds)
            content = reply.body.encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the library's own
            """Say nothing."""

    finished = Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            finished.set()
            server.shutdown()
            thread.join()
