"""What no signal can stop ends with its process, as a driver in C that does not come back to Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from tests.conftest import write_profile
from tests.plugin_sandbox import UNRENDERED, Apart

pytestmark = pytest.mark.long(minutes=0.2)
SHORT = "import fixtures.gating.windows\nfixtures.gating.windows.OUTER_GRACE_SECONDS = 1.0\n"
DEAF = """
@pytest.mark.phase1
def test_one():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    threading.Event().wait()
@pytest.mark.phase2
def test_two(): pass
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "n2"])
def test_a_check_that_hears_no_signal_ends_with_its_process(tmp_path: Path, workers: list[str]) -> None:
    apart = Apart(tmp_path)
    apart.settings(SHORT + UNRENDERED)
    write_profile(tmp_path, "[windows]\nphase1 = {start = 0, end = 5}\n")
    apart.checks(test_a=DEAF)
    outcome = apart.run("-m", "phase1", *workers)
    assert outcome.code not in {ExitCode.VERIFIED, ExitCode.BLOCKED}
    assert "Timeout (0:" in outcome.text
    assert "in test_one" in outcome.text, "its stack"
    if workers:
        assert outcome.results()["test_one"]["reason"] == "the worker that ran it died"
    after = apart.run("-m", "phase2")
    assert after.code == ExitCode.BLOCKED
    assert "phase1" in after.results()["test_two"]["reason"]
