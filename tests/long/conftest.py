"""The fixtures of the stack's tests."""

from tests.stack.conftest import (
    backup,
    captured_again,
    containers,
    control,
    engine,
    killer,
    operators,
    pytest_itemcollected,
    running,
    settled,
    stack,
    target,
    verifier,
    whole,
)

__all__ = [
    "backup",
    "captured_again",
    "containers",
    "control",
    "engine",
    "killer",
    "operators",
    "pytest_itemcollected",
    "running",
    "settled",
    "stack",
    "target",
    "verifier",
    "whole",
]
