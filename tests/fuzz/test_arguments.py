"""Command lines: whatever is typed ends with a code of its own, in a few lines, and without a traceback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rollproof.errors import ExitCode
from tests.conftest import write_profile
from tests.fuzz.typed import typed
from tests.unit.command_line import GROUP, every_command

# They go on until they are ended, become another program, or take samples for a while.
LONG = {"monitor", "verify", "run", "assess", "respond"}
LINES = [[*words] for words, _ in every_command(GROUP) if LONG.isdisjoint(words)]
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
MOST_LINES, MOST_LETTERS = 60, 20_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder with a profile, of which nothing can be reached: no engine, and each store refuses."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("DOCKER_HOST", f"unix://{folder}/no-engine.sock")
        patched.setenv("ROLLPROOF_TARGET", str(write_profile(folder)))
        yield


@pytest.mark.usefixtures("place")
@given(st.sampled_from(LINES), st.lists(st.sampled_from(WORDS), max_size=4), st.integers(0, 2))
@example(["report"], ["x" * 100_000], 2)
@example(["doctor"], [f"--target={'x' * 100_000}"], 2)
@example(["verify-bundle"], ["x" * 100_000], 2)
@example(["rollback"], [], 2)
def test_whatever_is_typed(line: list[str], words: list[str], at: int) -> None:
    code, text = typed(*line[:at], *words, *line[at:])
    if "--help" not in words:
        assert len(text.splitlines()) <= MOST_LINES or code == ExitCode.VERIFIED, text
        assert len(text) <= MOST_LETTERS or code == ExitCode.VERIFIED, text[:MOST_LETTERS]
    # What went wrong is said.
    assert text.strip() or code == ExitCode.VERIFIED
