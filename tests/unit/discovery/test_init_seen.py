"""What `init` makes of what it sees of a running project: a configuration, changes, closed stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Endpoint
from rollproof.init import looking
from rollproof.init.looking import maintenance_of
from rollproof.init.parts import parts_of
from rollproof.init.stack import stack_of
from tests.stack.faults import closed_port
from tests.unit.discovery.test_doctor_probes import container
from tests.unit.sandbox import stand_in


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("location / { if (-f /run/away) { return 503; } }", "/run/away"),
        ('if ( -f "/run/away" ) { set $away 1; }\nreturn 503;', "/run/away"),
        ("# if (-f /tmp/away) { return 503; }", ""),
        ("if (-f /tmp/away) { return 404; }", ""),
        ("return 503;", ""),
        ("", ""),
    ],
)
def test_a_maintenance_mode_is_found_in_a_mounted_configuration(
    text: str, found: str, tmp_path: Path
) -> None:
    (tmp_path / "nginx.conf").write_text(text, encoding="utf-8")
    mounts = [
        {"type": "bind", "source": str(tmp_path / name), "target": f"/{name}"}
        for name in ("gone", "nginx.conf")
    ]
    stack = stack_of({"services": {"web": {"image": "nginx", "volumes": mounts}}}, "shop", (), None)
    assert maintenance_of(stack, parts_of(stack)) == found


def test_a_store_that_lets_nobody_in_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = stack_of({"services": {"mysql": {"image": "mysql:8"}}}, "shop", (), None)
    engine = stand_in(ComposeEngine)
    monkeypatch.setattr(looking, "ComposeEngine", lambda *_: engine)
    with closed_port() as port:
        engine.resolve.return_value = Endpoint("127.0.0.1", port)
        looked = looking.look(stack, {"mysql": (container("mysql"),)})
    assert (looked.seen.unseen, looked.seen.holdings) == (("mysql",), {})
