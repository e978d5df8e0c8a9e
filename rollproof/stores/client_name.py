"""The name of this process's connections, by which a server's list of clients tells them from others."""

from __future__ import annotations

import re
import secrets

NAME = f"rollproof-{secrets.token_hex(8)}"
"""The name of this process's connections, where a client may have one: no other process has it."""
NAMES = re.compile(r"rollproof-[0-9a-f]{16}")
"""The names of all processes of the suite. Of those that write, the lock lets no second one in."""
