"""Contacts of a test's own: a sandbox whose profile leads to a small server."""

from __future__ import annotations

from rollproof.profile.profile import load_target
from tests.unit.team_stand_in import Channels
from tests.world.sandbox import Sandbox


def reach(
    sandbox: Sandbox, server: Channels, *, on_call: tuple[str, ...] = ("ada",), more: str = "", end: str = ""
) -> None:
    """Give the sandbox's profile contacts whose channels lead to the server."""
    text = sandbox.profile.read_text(encoding="utf-8").partition("[contacts]")[0]
    lines = [f"[contacts]\n{more}"]
    for contact, people, names in (("on_call", "Ada", on_call), ("tech_lead", "Grace", ("grace",))):
        for name in names:
            (sandbox.folder / name).write_text(server.apprise(name), encoding="utf-8")
        files = ", ".join(f'{{file = "{name}"}}' for name in names)
        lines.append(f'[contacts.{contact}]\nnames = ["{people}"]\nchannels = [{files}]\n')
    sandbox.profile.write_text(text + "".join([*lines, end]), encoding="utf-8")
    sandbox.target = load_target(sandbox.profile)
