"""What a rollback reaches outside of this process: stores, the application, the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollproof.stores.keepers import ClientsOpener, KeeperOpener, open_clients, open_keeper
from rollproof.stores.registry import ExporterOpener, ReaderOpener, open_exporter, open_reader
from rollproof.system.command import Deadline

if TYPE_CHECKING:
    import httpx2


@dataclass(frozen=True, slots=True)
class Outside:
    """How stores are opened, requests sent, and time waited for; `transport` None is the network.

    Between two looks for writers are `look_seconds`.
    """

    open_reader: ReaderOpener = open_reader
    open_exporter: ExporterOpener = open_exporter
    open_keeper: KeeperOpener = open_keeper
    open_clients: ClientsOpener = open_clients
    transport: httpx2.BaseTransport | None = None
    deadline: Callable[[float], Deadline] = Deadline
    sleep: Callable[[float], None] = time.sleep
    look_seconds: float = 1.0
