from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from rollback_actions.containers import volumes
from rollproof.engines.engine import Mount
from rollproof.errors import ActionFailed
from rollproof.system.command import Deadline


@pytest.mark.parametrize(
    ("mount", "other", "refused"),
    [
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data/below"}, True),
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/srv/data-of-another"}, False),
        # An agent that watches the whole host.
        (Mount("/srv/data", "bind", "/data", "/srv/data"), {"Source": "/"}, False),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "state"}, True),
        (Mount("state", "volume", "/data", "/volumes/state/_data"), {"Name": "other"}, False),
    ],
)
@pytest.mark.parametrize("writable", [True, False])
def test_nobody_may_write_while_files_are_put_back(
    mount: Mount, other: dict[str, object], monkeypatch: pytest.MonkeyPatch, *, refused: bool, writable: bool
) -> None:
    asked: list[object] = []

    def containers(*, filters: object) -> list[dict[str, object]]:
        asked.append(filters)
        return [{"Names": ["/writer"], "State": "running", "Mounts": [{**other, "RW": writable}]}]

    monkeypatch.setattr(volumes, "asking", lambda *_: nullcontext(SimpleNamespace(containers=containers)))
    for writers in (True, False):
        if refused and (writable or not writers):
            with pytest.raises(ActionFailed, match="writer is running"):
                volumes._refuse_users(mount, Deadline(60), writers=writers)
        else:
            volumes._refuse_users(mount, Deadline(60), writers=writers)
    # Stopped ones are none, and those of other projects are.
    assert asked == [{"status": ["running", "restarting", "paused"]}] * 2
