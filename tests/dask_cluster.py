"""A scheduler of Dask and workers, each a process of its own, on 127.0.0.2 and after it, by TLS."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from rollproof.profile.scheduling import Scheduling
from tests.conftest import ROOT

SECONDS = 60.0
"""The time that a process has to start."""
QUIET = {
    # A silent worker is given up; docs/howto/large-data.md has the same time.
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "20s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority, and a certificate that it signed; return their files, and that of the key."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, certificate, key = (folder / name for name in ("ca.pem", "node.pem", "node.key"))
    new = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-days=2",
        "-newkey=ec",
        "-pkeyopt=ec_paramgen_curve:prime256v1",
    ]
    signed = [f"-CA={authority}", f"-CAkey={folder / 'ca.key'}", "-addext=basicConstraints=critical,CA:FALSE"]
    for command in (
        [*new, "-subj=/CN=authority", f"-out={authority}", f"-keyout={folder / 'ca.key'}"],
        [*new, "-subj=/CN=node", *signed, f"-out={certificate}", f"-keyout={key}"],
    ):
        words = [word for one in command for word in _apart(one)]
        subprocess.run(words, check=True, capture_output=True, timeout=SECONDS)
    return authority, certificate, key


def _apart(word: str) -> Sequence[str]:
    """Return an option of openssl and its value as two words."""
    return word.split("=", 1) if word.startswith("-") and "=" in word else [word]


@dataclass
class DaskCluster:
    """Certificates and logs lie in `folder`; `environment` the workers' own, `preload` a module of theirs."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    preload: str = ""
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Start the scheduler."""
        self.files = make_certificates(self.folder)
        place = self.folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "127.0.0.2", f"--scheduler-file={place}", "--port=0")
        self.address = str(json.loads(self._once(place, self.scheduler))["address"])
        return self

    def __exit__(self, *exception: object) -> None:
        """End all processes."""
        for process in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(SECONDS)

    def add_workers(self, number: int) -> None:
        """Start workers of one thread each, on an address of its own each; wait until they are ready."""
        begun = []
        for _ in range(number):
            host = f"127.0.0.{2 + len(self.workers) % 4}"
            log = self.folder / f"worker{len(self.workers)}"
            options = ("--nthreads=1", "--no-nanny", f"--local-directory={self.folder}")
            preload = (f"--preload={self.preload}",) if self.preload else ()
            self.workers.append(self._start("worker", host, self.address, *options, *preload, log=log))
            begun.append((log, self.workers[-1]))
        for log, process in begun:
            self._once(log, process, "Registered to")

    def profile(self, answer_seconds: float = SECONDS) -> Scheduling:
        """Return the section of a profile that names this scheduler."""
        ca, certificate, key = self.files
        return Scheduling(
            scheduler=self.address, ca=ca, certificate=certificate, key=key, answer_seconds=answer_seconds
        )

    def _start(self, name: str, host: str, *options: str, log: Path | None = None) -> subprocess.Popen[bytes]:
        ca, certificate, key = self.files
        tls = (f"--tls-ca-file={ca}", f"--tls-cert={certificate}", f"--tls-key={key}", "--protocol=tls")
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", f"--host={host}", *options, *tls]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROLLPROOF_")}
        environment = {**kept, **QUIET, "PYTHONPATH": str(ROOT), **self.environment}
        with (log or self.folder / name).open("wb") as output:
            return subprocess.Popen(
                [*command, "--no-dashboard", "--dashboard-address=127.0.0.1:0"],
                env=environment,
                cwd=self.folder,
                stdout=output,
                stderr=output,
            )

    def _once(self, path: Path, process: subprocess.Popen[bytes], text: str = "}") -> str:
        """Return what is in a file once `text` is in it."""
        give_up = time.monotonic() + SECONDS
        while not path.exists() or text not in (found := path.read_text(encoding="utf-8")):
            if process.poll() is not None or time.monotonic() > give_up:
                logs = [
                    one.read_text(errors="replace")[-2000:] for one in self.folder.glob("*") if one.is_file()
                ]
                raise RuntimeError("\n".join(logs))
            time.sleep(0.05)
        return found
