"""Each kind of rollback once on the real stack, from its damage to the stack as it was.

An emergency rollback is that of `test_respond.py`, killed and resumed; `tests/long` kills every kind.
"""

from __future__ import annotations

import pytest

from rollproof.profile.profile import Target
from staging.kills.kill import Killer
from staging.kills.walk import SERVICE, actions
from staging.target.operators import Operators
from tests.stack.users import User
from tests.stack.verifier import Verifier, expect

# Many commands one after the other, on a machine that others use too.
pytestmark = [pytest.mark.timeout(2400), pytest.mark.usefixtures("whole", "settled")]


@pytest.mark.parametrize("name", ["service", "database mysql", "full"])
def test_what_was_damaged_is_as_it_was(
    verifier: Verifier, killer: Killer, operators: Operators, target: Target, name: str
) -> None:
    (action,) = [one for one in actions(killer.stack, operators) if one.name == name]
    user = User(target)
    with user.asking():
        done = killer.undisturbed(action)
    assert ("restore mysql" in done.seconds) is (name == "database mysql")
    if name == "service":
        assert f"recreate {SERVICE}" in done.seconds
        return
    for kind in ("page", "JSON"):
        told = user.told(kind)
        # Users were told to come again, once, and then that all is well.
        assert told[-2:] == [f"503, come again, {kind}", f"200, {kind}"], told
        assert told.count(f"503, come again, {kind}") == 1, told
    expect(verifier.run("phase1 or phase2"), {})
