"""Tests of Rollproof itself.

Its programs are found by their names, as in an environment that was activated: hints are the same everywhere.
"""

import os
import sys
from pathlib import Path

import pytest

os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
pytest.register_assert_rewrite("rollproof.contract")
