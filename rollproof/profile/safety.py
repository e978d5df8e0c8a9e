"""The runbook's data safety matrix: each kind of store's risk class, and the backup that it demands.

The profile gives every store its class. It may be stricter than the matrix, never weaker.
"""

from __future__ import annotations

from rollproof.errors import Wrong
from rollproof.profile.kinds import descriptor_of, kinds
from rollproof.profile.sections import Risk, StoreProfile
from rollproof.profile.store_descriptor import Means

_CLASSES: tuple[Risk, ...] = ("low", "medium", "high")
# The class that demands the most.
_HIGHEST: Risk = "high"


def wrong_risk(profile: StoreProfile) -> Wrong | None:
    """Return the mistake in a store's risk class, if it is one."""
    descriptor = descriptor_of(profile)
    least = descriptor.least_risk
    if _CLASSES.index(profile.risk) < _CLASSES.index(least):
        return Wrong(f"{least}, as the data safety matrix has it for {profile.kind}", profile.risk)
    if profile.risk == _HIGHEST and means_of(profile) is not Means.VOLUMES:
        # A store with volume snapshots always has the highest class.
        snapshots = (kind for kind, known in kinds().items() if known.least_risk == _HIGHEST)
        return Wrong(
            f"low or medium, since volume snapshots are taken of {', '.join(sorted(snapshots))} alone",
            profile.risk,
        )
    if profile.risk != "low" and (setting := descriptor.keeps_less(profile)):
        return Wrong(f"low beside {setting}", profile.risk)
    return None


def means_of(profile: StoreProfile) -> Means:
    """Return the means that a backup of the store must use."""
    means: Means = descriptor_of(profile).means(profile)
    return means
