"""Fuzz targets: input from outside, made up. Their settings are those of the laws in `tests.unit.laws`."""

from tests.unit.conftest import nothing_is_known

__all__ = ["nothing_is_known"]
