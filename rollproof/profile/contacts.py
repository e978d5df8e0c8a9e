"""The profile's contacts for an incident, their channels, and the times of the flow. Data only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from rollproof.profile.premigration import Seconds, Text
from rollproof.profile.sections import Model
from rollproof.redaction.secret import Secret

_Minutes = Annotated[float, Field(ge=0, allow_inf_nan=False, le=7 * 24 * 60)]


class Contact(Model):
    """One contact."""

    names: tuple[Text, ...] = ()
    """The people."""
    channels: tuple[Secret, ...] = ()
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
    """The tech lead is alerted."""
    assessment: _Minutes = 15.0
    """The assessment must be complete."""
    post_mortem: _Minutes = 60.0
    """The post-mortem is called."""


class Contacts(Model):
    """The contacts for an incident."""

    on_call: Contact = Contact()
    """Who is alerted first; without names anybody may acknowledge."""
    tech_lead: Contact = Contact()
    """Who is alerted then, or at once where nobody has acknowledged or decided in time."""
    post_mortem: tuple[Secret, ...] = ()
    """Channels that the post-mortem is called through; by default both contacts'."""
    minutes: Minutes = Minutes()
    """The flow's times, after the detection of the incident."""
    delivery_seconds: Seconds = 10.0
    """Seconds that one attempt may take."""

    @property
    def urls(self) -> tuple[SecretStr, ...]:
        """The URL of every channel."""
        return (*self.on_call.channels, *self.tech_lead.channels, *self.post_mortem)
