"""Command lines: whatever is typed ends with a code of its own, in a few lines, and without a traceback."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.core import TyperGroup

from fixtures.errors import ExitCode
from rollback_actions.__main__ import COMMANDS, CONTACTS, ROLLBACK, main
from tests.conftest import write_profile

# They go on until they are ended, become another program, or take samples for a while.
LONG = {"monitor", "verify", "run", "assess"}
NAMES = sorted({name for name, one in COMMANDS.items() if not isinstance(one, TyperGroup)} - LONG)
LINES = [
    *([name] for name in NAMES),
    *(["rollback", name] for name in ROLLBACK),
    *(["contacts", name] for name in sorted(CONTACTS.keys() - LONG)),
]
WORDS = [
    *(
        "",
        "-",
        "--",
        "x",
        "HEAD",
        "a" * 40,
        "A" * 40,
        "backend",
        "redis",
        "no such thing",
        "../..",
        "/dev/null",
    ),
    *(
        "/proc/self/mem",
        ".",
        "*",
        "$(id)",
        "`id`",
        "'",
        '"',
        ";",
        "|",
        "\n",
        "\t",
        "\x1b[31m",
        "é",
        "😀",
        "\udc80",
    ),
    *("1", "-1", "0", "nan", "inf", "1e999", "9" * 5000, "x" * 5000, "a=b", "=", "@file", "http://[", "2/4"),
    *("--help", "--json", "--again", "--take-over", "--confirm", "--confirm=x", "--incident", "--incident=x"),
    *(
        "--incident=../..",
        "--target",
        "--target=",
        "--target=/dev/null",
        "--target=gone.toml",
        "--over-budget",
    ),
    *(
        "--as=x",
        "--fix=x",
        "--root-cause=x",
        "--yes",
        "--no-such-option",
        "-k",
        "-n",
        "--auto",
        "--seconds=x",
    ),
]
MOST_LINES = 60
ended = {code.value for code in ExitCode}


@contextmanager
def _unreachable(folder: Path) -> Iterator[None]:
    """There is no engine, and each store refuses: nothing that is typed here reaches anything."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("DOCKER_HOST", f"unix://{folder}/no-engine.sock")
        patched.setenv("ROLLPROOF_TARGET", str(write_profile(folder)))
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a profile, in which commands are typed."""
    folder = tmp_path_factory.mktemp("place")
    with _unreachable(folder):
        yield folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sampled_from(LINES), st.lists(st.sampled_from(WORDS), max_size=4), st.integers(0, 2))
@example(["report"], ["x" * 100_000], 2)
@example(["rollback"], [], 2)
def test_whatever_is_typed(place: Path, line: list[str], words: list[str], at: int) -> None:
    del place
    said, told = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(told):
        patched.setattr("sys.argv", ["rollproof", *line[:at], *words, *line[at:]])
        code = main()
    text = "".join(_written(stream) for stream in (said, told))
    assert code in ended
    assert "Traceback" not in text
    assert "internal error" not in text
    if "--help" not in words:
        assert len(text.splitlines()) <= MOST_LINES or code == ExitCode.VERIFIED, text
    # What went wrong is said.
    assert text.strip() or code == ExitCode.VERIFIED


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8", "replace")
