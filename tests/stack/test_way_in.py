"""Users stay out after a rollback until it is verified; a real proxy knows the canary's way in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollproof.application.maintenance import in_maintenance
from rollproof.errors import ExitCode
from rollproof.profile.profile import load_target
from staging.stack.stack import Stack
from tests.stack.container_faults import Containers
from tests.stack.scratch_project import docker
from tests.stack.verifier import Verifier, expect

pytestmark = [pytest.mark.timeout(1200), pytest.mark.usefixtures("settled")]
HEADER = "X-Way-In"
SECONDS = 60.0


@pytest.fixture
def way_in(stack: Stack, containers: Containers, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The stack's proxy lets in whoever has the way in; what a profile says of it."""
    value = tmp_path / "way_in"
    value.write_text(secrets.token_hex(16))
    text = (stack.root / "staging/application/release1/nginx/nginx.conf").read_text()
    shut, open_to_canary = "if (-f /tmp/maintenance) { return 503; }", "if ($shut) { return 503; }"
    known = f'map $http_x_way_in $stranger {{ default 1; "{value.read_text()}" 0; }}'
    server = "set $shut $stranger;\n if (!-f /tmp/maintenance) { set $shut 0; }"
    changed = text.replace(shut, open_to_canary).replace(
        "  server {\n", f"  {known}\n  server {{\n {server}\n"
    )
    assert changed.count(open_to_canary) == 3
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(changed)
    tmp_path.chmod(0o755)
    override = tmp_path / "override.yaml"
    mounts = [f"{configuration}:/etc/nginx/nginx.conf:ro"]
    override.write_text(json.dumps({"services": {"nginx": {"volumes": mounts}}}))
    files = [f"--file={file}" for file in (*stack.files, override)]
    base = ["compose", f"--project-name={stack.project}", f"--env-file={stack.state.environment}", *files]
    try:
        docker(*base, "up", "--detach", "--wait", "--no-build", "--no-deps", "--force-recreate", "nginx")
        prefix = "ROLLPROOF_APPLICATION__MAINTENANCE__WAY_IN__"
        yield {f"{prefix}HEADER": HEADER, f"{prefix}VALUE__FILE": str(value)}
    finally:
        containers.recreate("nginx")


@pytest.mark.long(minutes=2)
def test_users_stay_out_until_it_is_verified_and_the_canary_does_not(
    verifier: Verifier, stack: Stack, way_in: dict[str, str]
) -> None:
    application = load_target(stack.profile).application
    verifier.back_up()
    done = verifier.actions("rollback", "database", "redis", **way_in)
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert "users stay out until it is verified: " in done.stderr
    assert in_maintenance(application, SECONDS)
    # The canary logs in, asks and is answered, while every user is told to come again.
    checks = {name.removeprefix("ROLLPROOF_"): value for name, value in way_in.items()}
    expect(verifier.run("phase2 or phase3", "--no-gate", **checks), {})
    refused = verifier.actions("rollback", "let-in", **way_in)
    assert refused.returncode == ExitCode.USAGE
    assert "observed not verified" in refused.stderr
    assert in_maintenance(application, SECONDS)
    done = verifier.actions("rollback", "let-in", "--anyway", **way_in)
    assert done.returncode == ExitCode.VERIFIED, done.stderr
    assert not in_maintenance(application, SECONDS)
