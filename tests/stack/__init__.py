"""Tests against the real servers of the staging stack."""

import pytest

pytest.register_assert_rewrite("rollproof.contract")
