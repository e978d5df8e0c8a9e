"""Records that were damaged anywhere: each command that reads them says so in words, and ends."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.run import completion, renewal
from rollproof.cli.command_line import main
from rollproof.errors import ExitCode
from rollproof.profile.profile import Signing
from tests.conftest import write_profile
from tests.unit.sealed_record import SealedRecord, edited

VALUES: list[Any] = [
    *(None, True, 0, -1, 1e300, 10**400, "", "x", "x" * 20_000, "\N{BYTE ORDER MARK}"),
    *([], {}, [[]], [None], {"": 0}, ["x"] * 500, {"a": {"a": {"a": {"a": []}}}}),
    *("2026-13-40T99:00", "passed", "phase9", "../..", "\ud800"),
]
WHOLE = [
    *(b"", b"\0", b"{}", b"[]", b"null", b"{", b"[" * 100_000),
    *(b"\xff\xfe", b"1" * 5000, b'{"a": NaN}', b"{}\n" * 9),
]
COMMANDS = [
    ["rollback", "status"],
    ["contacts", "answer", "{id}", "--as=x"],
    ["bundle", "{id}", "--output={folder}/bundle"],
    ["reopen", "{id}", "--fix=HEAD", "--root-cause=x", "--as=x"],
    ["report", "{folder}/incidents/{id}"],
]
# They search each byte of a record for secrets, which takes as long as a file is large.
WHOLE_RECORD = {"report", "bundle"}
MOST_LINES = 120
LARGE = 65 * 1024 * 1024


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an incident of four phases, as a run of checks leaves it."""
    return SealedRecord.of(tmp_path_factory.mktemp("record"), Signing()).folder


@pytest.fixture(scope="module", autouse=True)
def _undrawn() -> Iterator[None]:
    """Nothing is drawn or rendered: what is read for it is."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(completion, "draw_pictures", lambda *_, **__: ())
        patched.setattr(renewal, "render", lambda *_, **__: None)
        yield


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """Return `data` with a byte, a line or a value of it replaced, or as something else altogether."""
    match chance.randrange(4):
        case 0:
            return chance.choice(WHOLE)
        case 1:
            return edited(data, chance)[1]
        case _:
            lines = data.splitlines(keepends=True) or [b""]
            at = chance.randrange(len(lines))
            try:
                value = json.loads(lines[at])
                lines[at] = _spelled(_changed(value, chance)) + b"\n"
                return b"".join(lines)
            except ValueError:
                pass
            try:
                return _spelled(_changed(json.loads(data), chance))
            except ValueError:
                return edited(data, chance)[1]


def _spelled(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _changed(value: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any JSON
    """Return `value` with one value in it replaced, removed, or under another name."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        rest = {name: one for name, one in value.items() if name != key}
        match chance.randrange(6):
            case 0:
                return rest
            case 1:
                return {**rest, f"{key}x": value[key]}
        return {**value, key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    return chance.choice(VALUES)


_CODES = {code.value for code in ExitCode}


def typed(*words: str, about: str) -> str:
    """Type `words` after ``rollproof``, and return all that is printed: no traceback, and no internal error.

    The exit code is one of ours; `about` is told where it is not.
    """
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(said):
        patched.setattr("sys.argv", ["rollproof", *words])
        code = main()
    buffer = said.buffer
    assert isinstance(buffer, io.BytesIO)
    text = buffer.getvalue().decode("utf-8", "replace")
    told = f"{about}: {text[:3000]}"
    assert code in _CODES, told
    assert "Traceback" not in text, told
    assert "internal error" not in text, told
    return text


@given(st.integers(0, 2**32), st.sampled_from(COMMANDS))
def test_whatever_a_record_holds(record: Path, seed: int, command: list[str]) -> None:
    chance = random.Random(seed)  # noqa: S311 - nothing of it is a secret
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        incident = Path(shutil.copytree(record, folder / "incidents" / record.name))
        files = sorted(path for path in incident.rglob("*") if path.is_file())
        path = chance.choice(files)
        path.chmod(0o600)
        path.write_bytes(_damaged(path.read_bytes(), chance))
        if command[0] not in WHOLE_RECORD and not chance.randrange(10):
            # Of holes alone, and larger than any of its kind.
            os.truncate(path, LARGE)
        patched.setenv("ROLLPROOF_TARGET", str(write_profile(folder)))
        patched.chdir(folder)
        words = [word.format(id=incident.name, folder=folder) for word in command]
        text = typed(*words, about=path.name)
    assert len(text.splitlines()) <= MOST_LINES, f"{path.name}: {text[:3000]}"
