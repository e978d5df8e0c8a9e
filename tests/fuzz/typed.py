"""The command line as somebody types it, in this process, and what holds of it whatever that is."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from rollproof.cli.command_line import main
from rollproof.errors import ExitCode

_CODES = {code.value for code in ExitCode}


def typed(*words: str, about: str = "") -> tuple[int, str]:
    """Type `words` after ``rollproof``: return the exit code, which is one of ours, and all that is printed.

    That is no traceback and no internal error; `about` is told where it is.
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
    return code, text
