"""The profile's definition of trouble: the runbook's bands. Data only.

`rollproof.incident.severity` defines how each figure is measured, and when a band counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator

from rollproof.profile.sections import Model

# With a limit of 0, even good figures would be bad.
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, le=24 * 3600)]


class Band(Model):
    """A figure's limit, and the time that it must be beyond it: `seconds`, and `samples` in a row."""

    limit: Limit
    """The figure's limit, in the band's own unit."""
    seconds: Seconds = 0.0
    """Seconds that the figure must be beyond it, without a break."""
    samples: PositiveInt = 2
    """Samples in a row that must be beyond it."""


class Percent(Band):
    """A share's limit, which can be reached."""

    limit: Annotated[Limit, Field(le=100)]
    """The figure's limit, in percent."""


class _Runbook(Model):
    """Bands that a profile may change in part: omitted bands stay as in the runbook."""

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, table: Any) -> Any:  # noqa: ANN401 - whatever a profile holds; it is judged afterwards
        if not isinstance(table, Mapping):
            return table
        usual = {name: field.default.model_dump() for name, field in cls.model_fields.items()}
        return {
            name: {**usual[name], **band} if name in usual and isinstance(band, Mapping) else band
            for name, band in table.items()
        }


class Critical(_Runbook):
    """Bands that call for a rollback at once."""

    errors: Percent = Percent(limit=50, seconds=60)
    """Percent of requests that the application failed to answer."""
    health: Band = Band(limit=1)
    """Failures of the health endpoint in a row."""
    records_lost: Band = Band(limit=1)
    """Records of the baseline that are no longer there."""
    failed_log_ins: Percent = Percent(limit=90, seconds=60)
    """Percent of failed log-ins."""
    memory: Percent = Percent(limit=95)
    """Percent of its limit, for the container nearest to its limit."""
    disk_free: Percent = Percent(limit=5)
    """Percent of free space, on the fullest file system."""
    stores: Band = Band(limit=1, seconds=30)
    """Stores that do not answer."""
    function: Band = Band(limit=1, seconds=60)
    """Failures of the function that the canary uses, where the profile has the monitor ask it."""
    connections: Percent = Percent(limit=98)
    """Percent of the allowed connections, for the database with the fewest left."""


class NonCritical(_Runbook):
    """Bands that call for an investigation by a person."""

    errors: Percent = Percent(limit=10, seconds=300)
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
    vectors: Percent = Percent(limit=5, seconds=300)
    """Percent of the monitor's own searches by vector that had no answer, or none in time."""


class Bands(Model):
    """All bands of the runbook."""

    critical: Critical = Critical()
    """Bands that call for a rollback at once."""
    non_critical: NonCritical = NonCritical()
    """Bands that call for an investigation."""
