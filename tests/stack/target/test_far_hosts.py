"""The target's other machines, by a real sshd each: what is wrong on one is seen by its own check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.engines.ssh import ask_host
from rollproof.errors import Unverifiable
from rollproof.profile.engines import HostProfile
from tests.stack.namespaced_hosts import NamespacedHost, namespaced_host
from tests.stack.verifier import Verifier, expect

# A clock cannot be changed in a namespace: the program that tells the time stands in for a wrong one.
LATE = '#!/bin/sh\nexec /usr/bin/date --date="-5 seconds" "$@"\n'


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NamespacedHost, NamespacedHost]]:
    """Two hosts; the clock of the second is 5 s behind, and no container engine answers there."""
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "date").write_text(LATE)
    (folder / "date").chmod(0o755)
    wrong = f"PATH={folder}:/usr/bin:/bin DOCKER_HOST=unix:///nowhere.sock"
    with (
        namespaced_host(1, folder / "good") as good,
        namespaced_host(2, folder / "wrong", wrong) as wrong_one,
    ):
        yield good, wrong_one


def section(host: NamespacedHost, **keys: object) -> HostProfile:
    return HostProfile(address=host.address, ssh_config=host.ssh_config, **keys)


def test_each_fault_of_a_host_is_seen_by_its_own_check(
    hosts: tuple[NamespacedHost, NamespacedHost], verifier: Verifier
) -> None:
    good, wrong = hosts
    profiles = {
        "good": section(good),
        "wrong": section(wrong),
        "dead": HostProfile(address="root@10.213.1.3", ssh_config=good.ssh_config, deadline_seconds=2.0),
    }
    dead = ("broken", "host dead: expected a session of SSH, observed ssh: connect to host 10.213.1.3")
    outcome = verifier.run(
        "phase1",
        "--no-gate",
        "-k",
        "another_host",
        HOSTS=json.dumps({name: one.model_dump(mode="json") for name, one in profiles.items()}),
    )
    expect(
        outcome,
        {
            "test_clock_of_another_host[wrong]": ("failed", "within 1 s", "observed -"),
            "test_engine_of_another_host[wrong]": ("failed", "observed ", "nowhere.sock"),
            **{f"test_{what}_of_another_host[dead]": dead for what in ("disk", "memory", "clock", "engine")},
        },
    )
    assert len(outcome.results()) == 12


def test_a_host_without_room_or_memory_is_seen(
    hosts: tuple[NamespacedHost, NamespacedHost], verifier: Verifier
) -> None:
    """Neither can be used up by a test: the thresholds are such that both are."""
    outcome = verifier.run(
        "phase1",
        "--no-gate",
        "-k",
        "another_host",
        HOSTS=json.dumps({"good": section(hosts[0]).model_dump(mode="json")}),
        LIMITS__DISK_FREE_PERCENT="100",
        LIMITS__MEMORY_PERCENT="0.1",
    )
    expect(
        outcome,
        {
            "test_disk_of_another_host[good]": ("failed", "free space of / of good: expected above 100 %"),
            "test_memory_of_another_host[good]": ("failed", "expected below 0.1 % used"),
        },
    )


def test_a_host_with_another_key_is_not_asked(
    hosts: tuple[NamespacedHost, NamespacedHost], tmp_path: Path
) -> None:
    """It may be another machine at the same address."""
    good, wrong = hosts
    config = tmp_path / "ssh_config"
    known = good.known_hosts.read_text().replace(" ssh-ed25519", "", 1)
    other = wrong.known_hosts.read_text().split(maxsplit=1)[1]
    (tmp_path / "known_hosts").write_text(f"{known.split(maxsplit=1)[0]} {other}")
    text = good.ssh_config.read_text().replace(str(good.known_hosts), str(tmp_path / "known_hosts"))
    config.write_text(text)
    with pytest.raises(Unverifiable, match="Host key verification failed"):
        ask_host("good", HostProfile(address=good.address, ssh_config=config))


def test_a_path_that_is_not_there_is_not_taken_for_full(
    hosts: tuple[NamespacedHost, NamespacedHost],
) -> None:
    with pytest.raises(Unverifiable, match=r"exit code 1 of stat: .*/nowhere"):
        ask_host("good", section(hosts[0], paths=("/", "/nowhere")))


def test_a_password_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        HostProfile(address="root:secret@10.213.1.2")
