"""Configuration and insides of containers, strangers, the working copy and the profile, on the real engine.

Each fault turns its own check red, no other, until it is undone. At the end all is as at the capture.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from rollproof.errors import ExitCode
from staging.stack.stack import Stack
from staging.target.operators import undone
from tests.stack.container_faults import RECREATION_SECONDS, Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect

pytestmark = pytest.mark.timeout(1200)

# What a hand may change in a service that compose still calls by its name.
OVERRIDE = """
services:
  frontend:
    environment: {SCRATCH: hunter2-scratch}
    command: [nginx, -g, "daemon off; worker_rlimit_nofile 512;"]
    labels: {scratch.label: "on"}
    volumes: ["./scratch.conf:/etc/scratch.conf:ro", scratch:/scratch]
    extra_hosts: ["mysql:127.0.0.1"]
    cap_add: [NET_RAW]
    mem_limit: 65m
    restart: always
    networks: {default: {aliases: [scratch-alias]}}
    ports: ["127.0.0.1::8099"]
    read_only: false
volumes:
  scratch: {}
"""
TOLD = (
    "environment SCRATCH: expected none, observed hash ",
    "command: expected hash ",
    "label scratch.label: expected none",
    "mount /etc/scratch.conf: expected none",
    "mount /scratch: expected none",
    "file /etc/scratch.conf: expected none",
    'ExtraHosts: expected none, observed ["mysql:127.0.0.1"]',
    "CapAdd: expected ",
    f"Memory: expected {64 << 20}, observed {65 << 20}",
    "RestartPolicy: expected ",
    "network ",
    "scratch-alias",
    "PortBindings: expected none",
    "ReadonlyRootfs: expected true, observed none",
)
PHASE1 = ("phase1", "--no-gate")


def configured(service: str) -> str:
    return f"test_container_is_configured_as_recorded[{service}]"


def inside(service: str) -> str:
    return f"test_container_is_unchanged_inside[{service}]"


@contextmanager
def overridden(containers: Containers, folder: Path) -> Iterator[None]:
    """The container of frontend is another one than its compose file says."""
    (folder / "scratch.conf").write_text("# made by hand\n")
    file = folder / "override.yaml"
    file.write_text(OVERRIDE.replace("./scratch.conf", str(folder / "scratch.conf")))
    options = ["up", "--detach", "--wait", "--no-build", "--no-deps", "--force-recreate", "frontend"]

    def put_back() -> None:
        containers.recreate("frontend")
        docker("volume", "rm", "--force", f"{containers.stack.project}_scratch")

    with undone(put_back):
        containers.stack.compose(f"--file={file}", *options, seconds=RECREATION_SECONDS, hint="read the log")
        yield


@contextmanager
def patched(containers: Containers, service: str, script: str) -> Iterator[None]:
    """Somebody has run `script` in the container of `service`."""
    with undone(lambda: containers.recreate(service)):
        docker("exec", "--user=0", containers.of(service).id, "sh", "-c", script)
        yield


@contextmanager
def stranger(containers: Containers, *options: str) -> Iterator[str]:
    """There is a container of nobody's project; give its name."""
    name = f"rollproof-scratch-{uuid.uuid4().hex[:8]}"
    with undone(lambda: docker("rm", "--force", name)):
        image = containers.of("frontend").image_id
        command = ["--entrypoint=sleep", image, "600"]
        docker("run", "--detach", "--no-healthcheck", f"--name={name}", *options, *command)
        yield name


@contextmanager
def text_in(file: Path, text: str) -> Iterator[None]:
    """The end of `file` has `text`; a file that was not there is taken away."""
    before = file.read_bytes() if file.exists() else None

    def put_back() -> None:
        file.unlink() if before is None else file.write_bytes(before)

    with undone(put_back), file.open("a") as stream:
        stream.write(text)
        stream.flush()
        yield


def test_a_container_that_is_configured_or_changed_by_hand(
    verifier: Verifier, stack: Stack, containers: Containers, tmp_path: Path
) -> None:
    script = "echo x >>/etc/debian_version; echo x >/usr/local/bin/scratch; rm /etc/issue.net; echo x >/tmp/x"
    # The brokers read this secret only as they start.
    secret = stack.state.secrets / "s3_kafka"
    with ExitStack() as undo:
        undo.enter_context(overridden(containers, tmp_path))
        undo.enter_context(patched(containers, "redis", script))
        undo.enter_context(text_in(secret, "x"))
        outcome = verifier.run(*PHASE1)
    bound = "file /run/secrets/s3_kafka: expected hash "
    expect(
        outcome,
        {
            configured("frontend"): ("failed", *TOLD),
            # Compose's own files do not name what was added by hand.
            "test_next_start_is_as_it_runs": ("failed", "observed frontend: environment SCRATCH (from"),
            inside("redis"): (
                "failed",
                "modified /etc/debian_version",
                "added /usr/local/bin/scratch",
                "deleted /etc/issue.net",
            ),
            **{configured(service): ("failed", bound) for service in ("minio", "kafka", "kafka-host")},
        },
    )
    assert "hunter2" not in outcome.text
    results = outcome.results()
    assert "/tmp/x" not in results[inside("redis")]["reason"]  # noqa: S108 - a text
    assert "SCRATCH: expected none, observed hash " in results[configured("frontend")]["reason"]
    assert "hunter2" not in str(results)


def test_strangers_and_a_working_copy_that_is_not_clean(
    verifier: Verifier, stack: Stack, containers: Containers
) -> None:
    application = stack.state.application
    volume = f"{stack.project}_mysql"
    joined = f"--network=container:{containers.of('nginx').id}"
    with ExitStack() as undo:
        names = [
            undo.enter_context(stranger(containers, f"--network={stack.project}_default")),
            undo.enter_context(stranger(containers, f"--volume={volume}:/stolen:ro")),
            undo.enter_context(stranger(containers, joined)),
        ]
        undo.enter_context(stranger(containers, "--network=none"))
        undo.enter_context(text_in(application / "compose.yaml", "# by hand\n"))
        undo.enter_context(text_in(application / "compose.override.yaml", "services: {}\n"))
        outcome = verifier.run(*PHASE1, "-k", "stranger or working_copy")
    shared = (f"network {stack.project}_default", f"volume {volume}", "network of container ")
    expect(
        outcome,
        {
            "test_no_stranger_on_the_networks": ("failed", *names, *shared),
            "test_working_copy_is_as_clean_as_recorded": (
                "failed",
                "changed compose.yaml",
                "untracked compose.override.yaml",
            ),
        },
    )
    (told,) = (r["reason"] for n, r in outcome.results().items() if n == "test_no_stranger_on_the_networks")
    assert told.count("rollproof-scratch-") == len(names)


def test_a_profile_that_was_weakened_after_the_capture(verifier: Verifier) -> None:
    asked = "test_profile_asks_no_less_than_at_the_capture"
    other = {
        "STORES__MYSQL__POLICY": '{"imagedb.users": "volatile"}',
        "STORES__MINIO__POLICY": '{"*": "grows"}',
        "LIMITS__RESTARTS": "7",
    }
    outcome = verifier.run(*PHASE1, "-k", asked, **other)
    said = (
        "policy of mysql: [",
        "policy of minio: [",
        "limits.restarts of the profile: 0 at the capture, 7 now",
    )
    expect(outcome, {asked: ("broken", *said)})


def test_a_reader_that_sees_less_passes_nothing(verifier: Verifier, containers: Containers) -> None:
    """The new trigger cannot be seen, and is not taken for none."""

    def root(sql: str) -> None:
        known = "MYSQL_PWD=$(cat /run/secrets/mysql_root)"
        script = f"{known} exec $0 --no-defaults -uroot -S /run/mysqld/mysqld.sock -e"
        mysql = containers.of("mysql").id
        client = "mysql" if "MySQL" in verifier.baseline.facts.stores["mysql"].server else "mariadb"
        docker("exec", mysql, "sh", "-c", f'{script} "$1"', client, sql)

    trigger = "CREATE TRIGGER imagedb.scratch BEFORE UPDATE ON imagedb.users FOR EACH ROW SET NEW.id = OLD.id"
    rights = "ON `imagedb%`.* {} 'reader'@'%'"
    sees = "test_account_sees_as_much_as_at_the_capture[mysql]"
    extra = "test_store_holds_no_unrecorded_schema[mysql]"
    chosen = ("phase4", "--no-gate", "-k", "mysql and (sees or schema or accounts)")
    settings = "test_accounts_and_settings[mysql]"
    other = ("failed", "variable max_connect_errors: expected ", "observed '77'")
    with ExitStack() as undo:
        undo.callback(root, "DROP TRIGGER imagedb.scratch")
        root(trigger)
        with undone(lambda: root("SET GLOBAL max_connect_errors = DEFAULT")):
            root("SET GLOBAL max_connect_errors = 77")
            red = {extra: ("failed", "trigger imagedb.scratch"), settings: other}
            expect(verifier.run(*chosen), red)
        undo.callback(root, f"GRANT TRIGGER, EVENT {rights.format('TO')}")
        root(f"REVOKE TRIGGER, EVENT {rights.format('FROM')}")
        told = ("triggers of imagedb, lacking TRIGGER", "events of imagedb, lacking EVENT")
        expect(verifier.run(*chosen), {sees: ("broken", *told), extra: ("broken", *told)})
        compared = verifier.actions("compare", str(verifier.baseline.folder))
        assert compared.returncode == ExitCode.BROKEN, compared.stdout
        assert "hidden from it: triggers of imagedb" in compared.stdout
        captured = verifier.actions("capture")
        assert captured.returncode == ExitCode.FAILED, captured.stdout + captured.stderr
        assert "sight of the reader of mysql" in captured.stderr
        assert "the statements that init writes" in captured.stderr
