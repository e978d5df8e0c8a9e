"""The profile's section of the machines that compare large collections."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

from rollproof.profile.sections import Model
from rollproof.redaction.secret import ExistingFile


class Scheduling(Model):
    """A scheduler of Dask, whose workers compare large collections. Both ends show a certificate."""

    scheduler: Annotated[str, Field(pattern=r"^tls://[^\s/@]+:[0-9]+$")]
    """Its address: `tls://HOST:PORT`."""
    ca: ExistingFile
    """File of the authority that signed the certificates of scheduler, workers and this machine."""
    certificate: ExistingFile
    """File of this machine's certificate."""
    key: ExistingFile
    """File of its private key, without a passphrase."""
    answer_seconds: PositiveFloat = 60.0
    """Seconds without an answer of any worker after which a comparison is *broken*."""
