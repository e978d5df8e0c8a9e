"""reladiff compared with our digests: a tool that compares two tables by hashes made in the server."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import ROOT, Measure, Row, measured
from rollproof.engines.engine import Endpoint
from rollproof.profile.sections import Account

PEER_SECONDS = 600


class Reladiff:
    """reladiff in a throw-away environment, for the tables `t` and `u` of one database."""

    def __init__(
        self, folder: Path, driver: str, endpoint: Endpoint, account: Account, database: str
    ) -> None:
        """Write the settings into `folder`, readable by this account only."""
        self._folder = folder
        self._driver = driver
        self._settings = folder / "databases.toml"
        self._settings.touch(mode=0o600)
        self._settings.write_text(
            f'[database.it]\ndriver = "{driver}"\nhost = "{endpoint.host}"\nport = {endpoint.port}\n'
            f'user = "{account.user}"\npassword = "{account.password.get_secret_value()}"\n'
            f'database = "{database}"\n'
            '[run.default]\n1.database = "it"\n1.table = "t"\n2.database = "it"\n2.table = "u"\n'
        )

    def refused(self) -> str:
        """Install reladiff if it is missing; return the reason it cannot be run, or ""."""
        uv, environment = str(ROOT / ".venv" / "bin" / "uv"), self._folder / "reladiff"
        commands: Sequence[Sequence[str]] = (
            [uv, "venv", "--quiet", str(environment)],
            [uv, "pip", "install", "--quiet", f"--python={environment}/bin/python", *_PACKAGES[self._driver]],
        )
        if environment.exists():
            return ""
        try:
            for command in commands:
                run(command)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return ""

    def measured(self, times: int) -> Measure | Row:
        """Measure a comparison of both tables."""
        return measured("reladiff, two tables", self.refused(), self.differences, times)

    def differences(self) -> str:
        """Run reladiff over both tables and all columns; return the differences it prints."""
        program = str(self._folder / "reladiff" / "bin" / "reladiff")
        options = ("--conf", str(self._settings), "--run", "default", "--key-columns", "id", "--columns", "%")
        return run([program, *options])


_PACKAGES = {"mysql": ["reladiff[mysql]"], "postgresql": ["reladiff", "psycopg2-binary"]}


def run(command: Sequence[str]) -> str:
    """Run a peer's program to its end; return what it printed.

    Raises:
        RuntimeError: it failed, or said so.
    """
    done = subprocess.run(command, capture_output=True, text=True, timeout=PEER_SECONDS, check=False)
    words = done.stderr.strip()
    if done.returncode or "ERROR" in words:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {words[-300:]}")
    return done.stdout
