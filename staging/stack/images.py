"""The images: of the stores, which images/docker-bake.hcl describes, and of the suite itself."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rollproof.home import version
from staging.engine import install
from staging.processes import finish, run
from staging.stack.shape import Shape
from staging.stack.stack_state import trusted_certificates

PREFIX = "rollproof-staging"
DEBIAN = "debian:trixie-slim"
BOOTSTRAPPED = f"{PREFIX}/debian"
OTHER_STORES = ("mongodb", "milvus", "qdrant", "minio", "kafka")
NOTEBOOK_STORES = ("postgresql", "valkey-itself")
MYSQL_CHOICE, REDIS_CHOICE = "ROLLPROOF_MYSQL", "ROLLPROOF_REDIS"
BUILD_SECONDS = 1800
PULL_SECONDS = 120
BOOTSTRAP_SECONDS = 300
WHEEL_SECONDS = 120
ASK_SECONDS = 20

Report = Callable[[str], None]


def build_store_images(root: Path, certificates: Path, shape: Shape, report: Report) -> None:
    """Build the images of a shape's stores in the checkout `root`; BuildKit's cache has what is as before.

    MySQL comes from Debian unstable. With ROLLPROOF_MYSQL=mariadb, MariaDB takes its place; with
    ROLLPROOF_REDIS=valkey, Valkey that of Redis.

    Raises:
        Problem: an image cannot be built; the message holds the last lines of the builds' log.
    """
    chosen = [os.environ.get(MYSQL_CHOICE, "mysql"), os.environ.get(REDIS_CHOICE, "redis")]
    targets = NOTEBOOK_STORES if shape.is_notebook else (*OTHER_STORES, *chosen)
    bake(root, certificates, targets, report)


def bake(
    root: Path, certificates: Path, targets: Sequence[str], report: Report, prefix: str = PREFIX
) -> None:
    """Build targets of docker-bake.hcl in the checkout `root`, tagged `prefix`/NAME.

    Raises:
        Problem: a target cannot be built; the message holds the last lines of the log.
    """
    folder, base = root / "staging" / "images", debian(report)
    run(
        ["docker", "buildx", "bake", "--progress=plain", *targets],
        seconds=BUILD_SECONDS,
        hint=f"mend the Dockerfile in {folder}, or see that this machine reaches its package registries;"
        f" where MySQL cannot be built: {MYSQL_CHOICE}=mariadb",
        folder=folder,
        environment={"DEBIAN": base, "CERTIFICATES": str(certificates), "PREFIX": prefix},
    )


def build_suite_image(root: Path, report: Report) -> str:
    """Build wheel and image of the checkout in `root`; return the image's tag.

    Raises:
        Problem: either could not be built; the message holds the last lines of its log.
    """
    tag = f"rollproof:{version()}"
    for old in (root / "dist").glob("rollproof-*.whl"):
        old.unlink()
    run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(root / "dist")],
        seconds=WHEEL_SECONDS,
        hint="./run wheel",
        folder=root,
    )
    base = debian(report)
    with tempfile.NamedTemporaryFile() as certificates:
        certificates.write(trusted_certificates())
        certificates.flush()
        options = [f"--tag={tag}", f"--secret=id=ca,src={certificates.name}", f"--build-arg=BASE={base}"]
        run(
            ["docker", "buildx", "build", "--progress=plain", *options, str(root)],
            seconds=BUILD_SECONDS,
            hint=f"mend {root}/Dockerfile, or see that this machine reaches its package registries",
        )
    return tag


def debian(report: Report) -> str:
    """Return the tag of a Debian image: a present one, else pulled, else bootstrapped from a mirror."""
    hint = "see that the Docker engine answers"
    for tag in (DEBIAN, BOOTSTRAPPED):
        if run(["docker", "image", "ls", "--quiet", tag], seconds=ASK_SECONDS, hint=hint).strip():
            return tag
    report(f"pulling {DEBIAN}")
    if finish(["docker", "pull", "--quiet", DEBIAN], seconds=PULL_SECONDS, hint=hint).returncode == 0:
        return DEBIAN
    report(f"{DEBIAN} cannot be pulled here: bootstrapping it from Debian's packages")
    bootstrap(BOOTSTRAPPED, report)
    return BOOTSTRAPPED


def bootstrap(tag: str, report: Report) -> None:
    """Build a small Debian image with mmdebstrap, which is installed if missing.

    Raises:
        Problem: mmdebstrap could not be installed, failed, or timed out.
    """
    if shutil.which("mmdebstrap") is None:
        install("mmdebstrap", report=report)
    leave_out = [f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "locale", "doc")]
    options = [
        *("--quiet", "--variant=minbase", '--aptopt=Acquire::Check-Valid-Until "false"'),
        *leave_out,
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    ]
    hint = f"see that apt-get works on this machine, or load an image as {DEBIAN}"
    with tempfile.TemporaryDirectory() as folder:
        archive = str(Path(folder) / "debian.tar")
        run(["mmdebstrap", *options, "trixie", archive], seconds=BOOTSTRAP_SECONDS, hint=hint)
        run(["docker", "import", archive, tag], seconds=BOOTSTRAP_SECONDS, hint=hint)
