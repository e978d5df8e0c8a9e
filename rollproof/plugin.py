"""The part of the suite that pytest has in every run of its environment.

It gives a run from another folder, as `rollproof verify` begins it, the suite's checks. They have a name for
pytest anywhere else: ``pytest rollproof.checks -m phase1 --target=shop.toml``.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from rollproof import SUITE

_CHECKS = str(SUITE / "checks")
_NAME = "rollproof.checks"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> Generator[None]:
    """Name the checks where the root is the suite's and nothing else is named."""
    known = early_config.known_args_namespace
    # An option that is not known yet, with a space in its value, is a path to argparse.
    known.file_or_dir = [word for word in known.file_or_dir if not word.startswith("-")]
    if _NAME in known.file_or_dir:
        for words in (known.file_or_dir, args):
            words[:] = [_CHECKS if word == _NAME else word for word in words]
    elsewhere = early_config.invocation_params.dir != SUITE
    if early_config.rootpath == SUITE and elsewhere and not known.file_or_dir:
        known.file_or_dir = [_CHECKS]
        args.insert(0, _CHECKS)
    yield
