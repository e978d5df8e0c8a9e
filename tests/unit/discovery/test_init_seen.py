"""What `init` makes of what it sees of a running project: a configuration, changes, closed stores."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from rollproof.engines.compose import ComposeEngine
from rollproof.engines.engine import Endpoint
from rollproof.init import looking
from rollproof.init.looking import maintenance_of
from rollproof.init.parts import parts_of
from rollproof.init.stack import stack_of
from rollproof.init.watching import Seen, change_between, made_since
from rollproof.stores.contract import Digest, RecordHash
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


@pytest.mark.parametrize(
    ("counts", "totals", "policy"),
    [
        ((3, 3), (7, 7), None),
        ((3, 4), (7, 9), "grows"),
        ((3, 2), (7, None), "volatile"),
        ((3, 3), (7, 8), "changes"),
        ((3, 3), (7, None), None),
    ],
)
def test_a_large_collection_has_the_policy_of_its_counts_and_digests(
    counts: tuple[int, int], totals: tuple[int | None, int | None], policy: str | None
) -> None:
    before, now = (
        Seen(count, None if total is None else Digest(3, total))
        for count, total in zip(counts, totals, strict=True)
    )
    assert change_between(before, now) == (policy, "")


@pytest.mark.parametrize(
    ("before", "now", "policy", "touched"),
    [
        ({"a": "1"}, {"a": "1"}, None, ""),
        ({"a": "1"}, {"a": "1", "b": "2"}, "grows", ""),
        ({"a": "1", "b": "2"}, {"a": "1", "c": "2"}, "volatile", ""),
        # It grew, and somebody went on with what was there.
        ({"a": "1"}, {"a": "2", "b": "2"}, "changes", "updated_at"),
        ({"a": "1 x"}, {"a": "1 y"}, "changes", ""),
        ({"a": "1 x", "b": "1 x"}, {"a": "2 y", "b": "2 x"}, "changes", "updated_at"),
        ({"a": "1 x", "b": "1 x"}, {"a": "2 y", "b": "1 y"}, "changes", ""),
    ],
)
def test_a_collection_has_the_policy_of_its_records(
    before: dict[str, str], now: dict[str, str], policy: str | None, touched: str
) -> None:
    assert change_between(_looked(before), _looked(now)) == (policy, touched)


def _looked(records: dict[str, str]) -> Seen:
    """A look at records, each with the time of its last change and perhaps a text."""
    found = dict[str, RecordHash]()
    for key, values in records.items():
        fields = {
            name: hash(value) for name, value in zip(("updated_at", "text"), values.split(), strict=False)
        }
        found[key] = RecordHash(key, hash(values), fields)
    return Seen(len(found), Digest(len(found), sum(one.hash for one in found.values())), found)


@pytest.mark.parametrize(
    ("before", "now", "pattern"),
    [
        (["users", "files"], ["users", "files"], ""),
        (["users", "files"], ["users"], ""),
        (["kb_a", "kb_b", "files"], ["kb_a", "kb_b", "files", "kb_c"], "kb_*"),
        (["colqwenann_1", "files"], ["colqwenann_1", "files", "colqwenbob_1", "colqwencid_1"], "colqwen*"),
        (["colqwencanary_1", "colqwenann_1"], ["colqwencanary_2", "colqwencid_1"], "colqwen*"),
        (["files"], ["files", "kb_c", "kb_d"], "kb_*"),
        (["files"], ["files", "kb_c"], "kb_c*"),
        (["files"], ["files", "a", "z"], "*"),
        (["files"], ["files", "a[1]x", "a[1]y"], "a[[]1]*"),
    ],
)
def test_collections_that_were_made_begin_alike(before: list[str], now: list[str], pattern: str) -> None:
    assert made_since(before, now) == pattern


def test_a_collection_of_a_user_s_that_has_just_been_made_tells_how_they_are_called() -> None:
    mine, other = (f"vectors_ada_{uuid.UUID(int=number)!s}".replace("-", "_") for number in (1, 2))
    there = [mine, other, "vectors_canary", "books"]
    assert made_since(there, there, [mine]) == "vectors_*"
    assert made_since([mine, "books"], [mine, "books"], ["books"]) == ""


def test_several_names_that_a_program_has_made_are_of_users_though_none_was_made_meanwhile() -> None:
    made = [f"vectors_{user}_{uuid.UUID(int=user)!s}".replace("-", "_") for user in (1, 2, 3)]
    there = [*made, "vector", "books"]
    assert made_since(there, there) == "vectors_*"
    assert made_since(["books"], ["books"]) == ""
    plain = [str(uuid.UUID(int=number << 120)) for number in (1, 2)]
    assert made_since(plain, plain) == ""


def test_a_store_that_lets_nobody_in_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = stack_of({"services": {"mysql": {"image": "mysql:8"}}}, "shop", (), None)
    engine = stand_in(ComposeEngine)
    monkeypatch.setattr(looking, "ComposeEngine", lambda *_: engine)
    with closed_port() as port:
        engine.resolve.return_value = Endpoint("127.0.0.1", port)
        looked = looking.look(stack, {"mysql": (container("mysql"),)})
    assert (looked.seen.unseen, looked.ways) == (("mysql",), {})
