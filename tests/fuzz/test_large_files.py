"""Records with one huge file, made to cost memory: commands refuse it in words, or read within bounds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import repeat
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from rollproof.profile.profile import Signing
from tests.conftest import write_profile
from tests.fork_server import ForkServer
from tests.unit.sealed_record import SealedRecord

MOST_KIB = 500_000
BELOW, ABOVE = 63 * 1024**2, 66 * 1024**2
"""Sizes below and above the largest file that is read whole."""
# Nothing is drawn or rendered: what is read for it is. Each command ends with a code of its own.
RUN = r"""
import re, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (7200, 7200))
from reports.run import completion, renewal
from rollproof.cli.command_line import main
completion.draw, renewal.render = lambda *_, **__: [], lambda *_, **__: None
for line in Path(sys.argv[1]).read_text().splitlines():
    sys.argv = ["rollproof", *line.split()]
    print(f"code {main():d} of {line}", flush=True)
print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
"""
COMMANDS = """\
rollback status
contacts status --incident={id}
bundle {id} --output={folder}/bundle.tar.gz
verify-bundle {folder}/bundle.tar.gz
report {folder}/incidents/{id}
"""
HOLES, VALUES, LINES, SAME = "holes", "values", "lines", "its own lines"
SHAPES: Mapping[str, str] = {
    "verdict.json": VALUES,
    "journal.jsonl": LINES,
    "seal.json": VALUES,
    "samples.jsonl": SAME,
    **dict.fromkeys(
        ("ledger/0001/results.jsonl", "response.jsonl", "contacts.jsonl", "reopening.jsonl"), LINES
    ),
    **dict.fromkeys(("journal-end.txt", "allure-results.sha256", "postmortem.md", "assessed.jsonl"), LINES),
    **dict.fromkeys(("ledger/0001/plan.json", "ledger/0001/run.json", "ledger/0001/halted.json"), VALUES),
    **dict.fromkeys(("incident.json", "closed.json", "rollback.json", "unfinished.json"), VALUES),
    **dict.fromkeys(("lost-window/accounting.json", "samples.json", "downtime.json"), VALUES),
    **dict.fromkeys(("allure-results/large-result.json", "superseded.json", "release.json"), VALUES),
    **dict.fromkeys(("pictures/timeline.svg", "journal.head", "strange.bin"), HOLES),
}
SHOWN = 3
LONG = pytest.mark.long(minutes=0.5)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an incident without a seal: each of its files is read, and not only hashed."""
    folder = SealedRecord.of(tmp_path_factory.mktemp("record"), Signing()).folder
    (folder / "seal.json").unlink()
    return folder


@pytest.fixture(scope="module")
def readers() -> Iterator[ForkServer]:
    """Processes that have imported what Python's own libraries need, and nothing else."""
    server = ForkServer(("json", "re", "resource"), bare=True)
    yield server
    server.close()


def _enlarge(path: Path, shape: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.chmod(0o600)
    match shape:
        case "holes":
            os.truncate(path, ABOVE)
            return
        case "values":
            block = b"[]," * 100_000
        case "lines":
            block = b"{}\n" * 100_000
        case _:
            block = path.read_bytes()
    with path.open("wb") as file:
        file.write(b"[" if shape == VALUES else b"")
        file.writelines(repeat(block, BELOW // len(block)))
        file.write(b"[]]" if shape == VALUES else b"")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param(name, shape, id=name, marks=() if number < SHOWN else LONG)
        for number, (name, shape) in enumerate(SHAPES.items())
    ],
)
def test_a_record_with_a_huge_file(
    readers: ForkServer, record: Path, tmp_path: Path, name: str, shape: str
) -> None:
    incident = Path(shutil.copytree(record, tmp_path / "incidents" / record.name))
    _enlarge(incident / name, shape)
    commands = tmp_path / "commands"
    commands.write_text(COMMANDS.format(id=incident.name, folder=tmp_path), encoding="utf-8")
    profile = str(write_profile(tmp_path))
    environment = {**os.environ, "ROLLPROOF_TARGET": profile, "ROLLPROOF_NAME": "staging"}
    done = readers.run("-c", RUN, str(commands), folder=tmp_path, environment=environment, seconds=7200)
    told = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert done.returncode == 0, told
    assert "Traceback" not in told, told
    assert "internal error" not in told, told
    *said, memory = done.stdout.splitlines()
    codes = [int(line.split()[1]) for line in said if line.startswith("code ")]
    assert len(codes) == len(COMMANDS.splitlines()), told
    assert {*codes} <= {code.value for code in ExitCode}, told
    assert int(memory) < MOST_KIB, told
