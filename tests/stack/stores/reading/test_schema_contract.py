"""The contract of readers, of the stores of the staging stack."""

from rollproof.contract.test_schema import *  # noqa: F403
