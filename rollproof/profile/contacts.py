"""The profile's contacts for an incident, their channels, and the times of the flow. Data only."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from rollproof.errors import Wrong
from rollproof.profile.premigration import Seconds, Text
from rollproof.profile.sections import Model
from rollproof.redaction.secret import Channel

_Minutes = Annotated[float, Field(ge=0, allow_inf_nan=False, le=7 * 24 * 60)]
# The longest wait between two attempts, however many there are.
LONGEST_WAIT_SECONDS = 30.0


class Contact(Model):
    """One contact."""

    names: tuple[Text, ...] = ()
    """The people."""
    channels: tuple[Channel, ...] = ()
    """Apprise URLs that reach them, each a secret."""


class Minutes(Model):
    """The runbook's contact flow: minutes after the detection of the incident, T+0."""

    on_call: _Minutes = 0.0
    """The engineer on call is alerted."""
    acknowledge: _Minutes = 2.0
    """The alert must be acknowledged."""
    decision: _Minutes = 2.0
    """It must be decided whether to roll back."""
    tech_lead: _Minutes = 5.0
    """The tech lead gets a status update."""
    assessment: _Minutes = 15.0
    """The assessment must be complete."""
    post_mortem: _Minutes = 60.0
    """The post-mortem is called."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for (before, early), (after, late) in pairwise(self):
            if early > late:
                raise Wrong(f"{before} not after {after}", f"{early:g} and {late:g} minutes")
        return self


class Contacts(Model):
    """The contacts for an incident, and how hard they are tried."""

    on_call: Contact = Contact()
    """Who is alerted first; without names anybody may acknowledge."""
    tech_lead: Contact = Contact()
    """Who gets the status update, and every alert that nobody answers."""
    post_mortem: tuple[Channel, ...] = ()
    """Channels that the post-mortem is called through; by default both contacts'."""
    minutes: Minutes = Minutes()
    """The flow's times, after the detection of the incident."""
    delivery_seconds: Seconds = 10.0
    """Seconds that one attempt may take."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts that follow each other."""
    retry_seconds: Seconds = 1.0
    """Seconds from the first attempt to the second; each later wait is twice as long."""
    again_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False, le=60)] = 1.0
    """Minutes after which an unreached contact is tried again."""

    @property
    def urls(self) -> tuple[SecretStr, ...]:
        """The URL of every channel."""
        return (*self.on_call.channels, *self.tech_lead.channels, *self.post_mortem)

    @property
    def whole_seconds(self) -> float:
        """Seconds from the first attempt of an alert to the end of its last one."""
        waits = (min(self.retry_seconds * 2.0**n, LONGEST_WAIT_SECONDS) for n in range(self.attempts - 1))
        return self.attempts * self.delivery_seconds + sum(waits)
