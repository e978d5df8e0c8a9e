"""The part of the suite that pytest knows wherever it is typed: `pytest -m phase1 --target x.toml`.

pytest looks for its root in every loose path of the command line before it knows the suite's options. So it
takes the profile in `--target PATH` for tests. Such a run, and one from a folder that is not the suite's, is
begun anew by `rollproof verify`, which knows the root.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator

import pytest

from rollproof import SUITE

KEY = "rollproof_target"
"""The setting of pytest that names the profile, relative to its file."""
_CHECKS = "checks"
_OURS = re.compile(r"\b(verification|premigration|severity|phase[1-4]|step[1-5])\b")
_PHASES = "fixtures.gating.phases"
# The process that has begun anew: once, or options that name another root have it do so for ever.
_BEGUN = "_ROLLPROOF_BEGUN"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting."""
    parser.addini(KEY, "profile of the target, relative to this file (below --target and ROLLPROOF_TARGET)")


def target_of(config: pytest.Config) -> str | None:
    """Return the path of the profile in the settings, or None."""
    named = str(config.getini(KEY) or "")
    if not named:
        return None
    return str(config.inipath.parent / named) if config.inipath else named


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Name the checks where the root is the suite's; begin a run of the checks anew where it is not."""
    known = early_config.known_args_namespace
    # An option that is not known yet, with a space in its value, is a path to argparse.
    known.file_or_dir = [word for word in known.file_or_dir if not word.startswith("-")]
    at_home = early_config.rootpath == SUITE
    if at_home and not known.file_or_dir and early_config.invocation_params.dir != SUITE:
        known.file_or_dir = [str(SUITE / _CHECKS)]
        args.insert(0, str(SUITE / _CHECKS))
    yield
    if at_home or early_config.pluginmanager.has_plugin(_PHASES):
        return
    setting = target_of(early_config)
    _, unknown = parser.parse_known_and_unknown_args(args)
    named = any(word == "--target" or word.startswith("--target=") for word in unknown)
    chosen = named or "ROLLPROOF_TARGET" in os.environ or setting is not None
    if not named and not (chosen and _OURS.search(known.markexpr or "")):
        return
    if os.environ.get(_BEGUN) == str(os.getpid()):
        raise pytest.UsageError(
            f"root of pytest: expected {SUITE}, observed {early_config.rootpath} (from its options)\n"
            "HINT: leave --rootdir, --config-file and -c out, of PYTEST_ADDOPTS too"
        )
    os.environ[_BEGUN] = str(os.getpid())
    more = [] if named or "ROLLPROOF_TARGET" in os.environ or setting is None else [f"--target={setting}"]
    words = ["-P", "-m", "rollproof.anew", "verify", *more, *early_config.invocation_params.args]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *map(str, words)])  # noqa: S606 - this very run, from its own root
