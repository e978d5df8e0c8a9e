"""The limits for judging an incident, kept in its record for readers without the profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollproof.profile.bands import Bands
from rollproof.profile.profile import Target, Windows
from rollproof.runbook import PHASES


def limits_of(target: Target) -> dict[str, Any]:
    """Return the limits of `target` as JSON can hold them, in seconds; a window is two numbers.

    `severity` are its bands, which have their own units, and `beat` is the monitor's.
    """
    windows = {
        name: [window.start, window.end] for name in PHASES if (window := getattr(target.windows, name))
    }
    return {
        "windows": windows,
        "verification": target.windows.verification,
        "rollback": float(target.rollback_seconds),
        "objective": float(target.rto_seconds),
        "severity": target.severity.model_dump(),
        "beat": float(target.premigration.monitoring.beat_seconds),
    }


def windows_of(limits: Mapping[str, Any]) -> Windows | None:
    """Return the windows in a record of `limits_of`, or None if it has none.

    Raises:
        ValueError, TypeError, KeyError: it is not such a record.
    """
    if "windows" not in limits:
        return None
    windows = {name: {"start": start, "end": end} for name, (start, end) in limits["windows"].items()}
    return Windows.model_validate({**windows, "verification": limits["verification"]})


def bands_of(limits: Mapping[str, Any]) -> tuple[Bands, float] | None:
    """Return the bands and the seconds of a beat in a record of `limits_of`, or None if it has none.

    Raises:
        ValueError, TypeError, KeyError: it is not such a record.
    """
    if "severity" not in limits:
        return None
    beat = float(limits["beat"])
    if not beat > 0:
        raise ValueError(f"no seconds of a beat: {beat}")
    return Bands.model_validate(limits["severity"]), beat
