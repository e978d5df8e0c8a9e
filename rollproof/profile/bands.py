"""The profile's definition of trouble: the runbook's bands. Data only.

`rollproof.monitoring.severity` defines how each figure is measured, and when a band counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from rollproof.errors import Wrong
from rollproof.profile.sections import Model

# With a limit of 0, even good figures would be bad.
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_HUNDRED = 100
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=24 * 3600)]


class Band(Model):
    """A figure's limit, and the time that it must be beyond it: `seconds`, and `samples` in a row."""

    limit: Limit
    """The figure's limit, in the band's own unit."""
    seconds: Seconds = 0.0
    """Seconds that the figure must be beyond it, without a break."""
    samples: PositiveInt = 2
    """Samples in a row that must be beyond it."""


def _of_a_hundred(band: Band) -> Band:
    if band.limit > _HUNDRED:
        raise Wrong("at most 100 %, since more is never reached", f"{band.limit:g} %", "limit")
    return band


def _below_a_hundred(band: Band) -> Band:
    if band.limit >= _HUNDRED:
        raise Wrong("less than 100 %, since no more is ever free", f"{band.limit:g} %", "limit")
    return band


Percent = Annotated[Band, AfterValidator(_of_a_hundred)]


class _Runbook(Model):
    """Bands that a profile may change in part: omitted bands stay as in the runbook."""

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:  # noqa: ANN401 - whatever a profile holds; it is judged afterwards
        if not isinstance(given, Mapping):
            return given
        usual = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**usual[name], **band} if name in usual and isinstance(band, Mapping) else band
            for name, band in given.items()
        }


class Critical(_Runbook):
    """Bands that call for a rollback at once."""

    errors: Percent = Band(limit=50, seconds=60)
    """Percent of requests that the application failed to answer."""
    health: Band = Band(limit=1)
    """Failures of the health endpoint in a row."""
    records_lost: Band = Band(limit=1)
    """Records of the baseline that are no longer there."""
    failed_log_ins: Percent = Band(limit=90, seconds=60)
    """Percent of failed log-ins."""
    memory: Percent = Band(limit=95)
    """Percent of its limit, for the container nearest to its limit."""
    disk_free: Annotated[Band, AfterValidator(_below_a_hundred)] = Band(limit=5)
    """Percent of free space, on the fullest file system."""
    stores: Band = Band(limit=1, seconds=30)
    """Stores that do not answer."""
    function: Band = Band(limit=1, seconds=60)
    """Failures of the function that the canary uses, where the profile has the monitor ask it."""
    connections: Percent = Band(limit=98)
    """Percent of the allowed connections, for the database with the fewest left."""


class NonCritical(_Runbook):
    """Bands that call for an investigation by a person."""

    errors: Percent = Band(limit=10, seconds=300)
    """Percent of requests that the application failed to answer."""
    latency: Band = Band(limit=5000, seconds=60)
    """Milliseconds that 95 % of the requests stay under."""
    latency_ratio: Band = Band(limit=3, seconds=60)
    """Multiple of the baseline's time, for the health endpoint and for the first page."""
    page: Band = Band(limit=3000, seconds=60)
    """Milliseconds of the first page."""
    lag: Band = Band(limit=1000, seconds=60)
    """Records that the slowest consumer group has yet to read."""
    containers: Band = Band(limit=1, seconds=60)
    """Containers that are missing, do not run or are not healthy."""
    vectors: Percent = Band(limit=5, seconds=300)
    """Percent of the monitor's own searches by vector that had no answer, or none in time."""


class Bands(Model):
    """All bands of the runbook."""

    critical: Critical = Critical()
    """Bands that call for a rollback at once."""
    non_critical: NonCritical = NonCritical()
    """Bands that call for an investigation."""
