"""What `init` makes of what it sees of a running project: a configuration, changes, closed stores."""

from __future__ import annotations

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Endpoint
from rollproof.init.looking import look
from rollproof.init.stack import stack_of
from tests.unit.discovery.test_doctor_needs import container
from tests.world.sandbox import stand_in


def test_a_store_that_lets_nobody_in_is_not_looked_into() -> None:
    stack = stack_of({"services": {"mysql": {"image": "mysql:8"}}}, "shop", (), None)
    engine = stand_in(ComposeEngine)
    engine.resolve.return_value = Endpoint("127.0.0.1", 9)
    looked = look(stack, {"mysql": (container("mysql"),)}, engine)
    assert (looked.unseen, looked.holdings) == (("mysql",), {})


def test_a_running_service_is_there_though_its_compose_profile_is_off() -> None:
    services = {name: {"image": "redis:8", "profiles": ["more"]} for name in ("runs", "off")}
    stack = stack_of({"services": services}, "shop", (), None)
    engine = stand_in(ComposeEngine)
    engine.resolve.return_value = Endpoint("127.0.0.1", 9)
    looked = look(stack, {"runs": (container("runs"),), "off": ()}, engine)
    assert looked.parts.optional == ("off",)
    assert [one.services for one in looked.parts.stores.values()] == [("runs",)]
