"""The image of the suite itself: built from its wheel, on the Debian that the stores' images start from."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from rollproof.home import version
from staging.processes import run
from staging.stack.stack_state import trusted_certificates
from staging.stack.store_images import build_image, debian

WHEEL_SECONDS = 120


def tag() -> str:
    """Return the tag of this version's image."""
    return f"rollproof:{version()}"


def build_suite_image(root: Path, report: Callable[[str], None]) -> str:
    """Build wheel and image of the checkout in `root`; return the image's tag.

    Raises:
        Problem: either could not be built; the message holds the last lines of its log.
    """
    for old in (root / "dist").glob("rollproof-*.whl"):
        old.unlink()
    run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(root / "dist")],
        seconds=WHEEL_SECONDS,
        hint="./run wheel",
        folder=root,
    )
    with tempfile.NamedTemporaryFile() as certificates:
        certificates.write(trusted_certificates())
        certificates.flush()
        build_image(tag(), root, Path(certificates.name), {"BASE": debian(report)})
    return tag()
