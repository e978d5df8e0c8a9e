"""The profile's section of the target's other machines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

from rollproof.profile.sections import Model
from rollproof.redaction.secret import ExistingFile


class HostProfile(Model):
    """Another machine of the target. Phase 1 asks it over SSH."""

    address: Annotated[str, Field(pattern=r"^([a-z_][a-z0-9_-]*@)?[A-Za-z0-9.\[\]:-]+$")]
    """`USER@NAME:PORT`, or a part of it. OpenSSH's configuration has the rest: keys and known hosts."""
    ssh_config: ExistingFile | None = None
    """OpenSSH's configuration file (default: your own)."""
    paths: Annotated[tuple[Annotated[str, Field(pattern="^/")], ...], Field(min_length=1)] = ("/",)
    """Paths whose file systems must have space and inodes left."""
    engine: bool = True
    """Whether a container engine must answer there, to that user."""
    deadline_seconds: PositiveFloat = 10.0
    """Seconds that one question may take."""
