"""What is no file in the place of a file of an incident: it is refused in words, and nothing waits for it."""

from __future__ import annotations

import os
import signal
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reports.bundle.bundle_check import verify_bundle
from reports.command_line import app
from reports.html.html import render
from reports.pictures.album import draw_pictures
from reports.postmortem.postmortem import post_mortem
from reports.run import completion, renewal
from reports.tools.processes import NoReport
from rollproof.backups.index import read_index
from rollproof.errors import ActionFailed, ExitCode, Problem
from rollproof.losses.lost_window import read_window
from rollproof.profile.profile import load_target
from rollproof.reading import open_regular, read_regular
from rollproof.record_names import DOWNTIME, JOURNAL, RESPONSE, RESPONSE_SAMPLES, SAMPLES, UNFINISHED
from rollproof.stores.package import read_package
from tests.running.cut import VARIANT
from tests.unit.clock import Clock
from tests.unit.made_incident import MadeIncident, clock

__all__ = ["clock"]
SECONDS = 240
LARGE = 80 * 1024 * 1024


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # Such names are short.
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


NO_FILES: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "folder": Path.mkdir,
}
ENDLESS = ("pipe", "device")
# That a device is told as well as a pipe is shown where only a file is read.
ENDLESS_FOR_EACH = ("pipe", pytest.param("device", marks=VARIANT))


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    """End what waits for a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError("it waits for what is no file")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def made(profile: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MadeIncident:
    """An incident of which everything is recorded; Allure and the pictures are tried elsewhere."""
    monkeypatch.setattr(renewal, "render", lambda *_, **__: None)
    monkeypatch.setattr(completion, "draw", lambda *_: [])
    incident = MadeIncident(load_target(profile), clock)
    incident.tell()
    incident.respond()
    incident.watch()
    incident.cut_off()
    incident.incident.close()
    return incident


def _report(folder: Path) -> tuple[int, str]:
    ended = CliRunner().invoke(app, [str(folder)])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


@pytest.mark.parametrize("kind", NO_FILES)
def test_only_a_file_is_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "one"
    NO_FILES[kind](path)

    with pytest.raises(OSError, match=r"Not a regular file|Is a directory") as raised:
        read_regular(path)

    assert raised.value.filename == str(path)


def test_a_file_is_read_also_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1\n")
    (tmp_path / "two").symlink_to("one")

    assert read_regular(tmp_path / "two") == b"1\n"
    with open_regular(tmp_path / "two") as stream:
        assert stream.readline() == b"1\n"


@pytest.mark.parametrize("kind", ENDLESS_FOR_EACH)
@pytest.mark.parametrize(
    "name",
    [
        *(JOURNAL, "journal.head", RESPONSE, "response.head", "contacts.jsonl", "reopening.jsonl"),
        *("chain.jsonl", "chain.head"),
        *(RESPONSE_SAMPLES, SAMPLES, "lost-window/accounting.json", "closed.json", "superseded.json"),
        *("journal-broken-1.jsonl", UNFINISHED, "rollback.json", "ledger/0001/halted.json"),
        *("ledger/0001/run.json", "ledger/0001/plan.json", "ledger/0001/results.jsonl"),
        "ledger/0001/begun-phase1.json",
    ],
)
def test_a_record_of_what_is_no_file_is_doubted(made: MadeIncident, name: str, kind: str) -> None:
    path = made.folder / name
    path.unlink(missing_ok=True)
    NO_FILES[kind](path)

    code, said = _report(made.folder)

    assert code == ExitCode.VERIFIED
    if not name.endswith(".head"):
        assert "Not a regular file" in said
    assert "Post-mortem of incident" in post_mortem(made.folder)


@pytest.mark.parametrize(
    "name",
    [
        *(
            JOURNAL,
            "response.jsonl",
            "contacts.jsonl",
            "chain.jsonl",
            SAMPLES,
            RESPONSE_SAMPLES,
            "verdict.json",
        ),
        *("rollback.json", "journal-end.txt", "ledger/0001/results.jsonl", "ledger/0001/plan.json"),
    ],
)
def test_a_record_of_what_is_larger_than_any_is_not_read(made: MadeIncident, name: str) -> None:
    """It costs the memory of a small one, and its limit is said."""
    path = made.folder / name
    with path.open("ab") as file:
        file.truncate(LARGE)
    tracemalloc.start()
    try:
        code, said = _report(made.folder)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert code in {ExitCode.VERIFIED, ExitCode.BROKEN, ExitCode.USAGE}, said
    assert most < LARGE
    assert " MiB that are read" in said or name == "verdict.json"


@pytest.mark.parametrize("kind", ENDLESS)
@pytest.mark.parametrize("name", ["incident.json", "postmortem.md", "allure-results.sha256"])
def test_without_which_there_is_no_record_is_a_problem(made: MadeIncident, name: str, kind: str) -> None:
    (made.folder / name).unlink(missing_ok=True)
    NO_FILES[kind](made.folder / name)

    code, said = _report(made.folder)

    assert code in {ExitCode.BROKEN, ExitCode.USAGE}
    assert name in said
    assert "HINT: " in said


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_result_that_is_no_file_is_not_given_to_allure(made: MadeIncident, kind: str) -> None:
    code, _ = _report(made.folder)
    NO_FILES[kind](made.folder / "allure-results" / "x-result.json")

    again, _ = _report(made.folder)

    assert code == again == ExitCode.VERIFIED
    with pytest.raises(NoReport, match=r"results of the incident: expected files, observed 1 that are none"):
        render(made.folder)


@pytest.mark.parametrize("kind", ENDLESS)
def test_no_picture_waits(made: MadeIncident, kind: str) -> None:
    for name in (SAMPLES, "verdict.json", DOWNTIME):
        (made.folder / name).unlink(missing_ok=True)
        NO_FILES[kind](made.folder / name)

    album = draw_pictures(made.folder)

    assert "Not a regular file" in " ".join(str(problem) for problem in album.problems)
    assert any(picture.name == "timeline.svg" for picture in album.pictures)


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_bundle_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    NO_FILES[kind](tmp_path / "one.tar.gz")

    with pytest.raises(Problem, match=r"bundle: expected a file") as raised:
        verify_bundle(tmp_path / "one.tar.gz")

    assert "HINT: " in str(raised.value)


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_manifest_that_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    for name in ("window.json", "mysql.json", "backup.json"):
        NO_FILES[kind](tmp_path / name)
    (tmp_path / "index").symlink_to(".")
    for read in (
        lambda: read_window(tmp_path),
        lambda: read_index(tmp_path, "mysql", {}),
        lambda: read_package(tmp_path, kind="mysql"),
    ):
        with pytest.raises(ActionFailed, match=r"observed (Not a regular file|Is a directory)"):
            read()
