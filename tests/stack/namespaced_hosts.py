"""Other machines for tests: a real sshd each, in a network namespace of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from staging.engine import install

SECONDS = 30


@dataclass(frozen=True, slots=True)
class NamespacedHost:
    """One host: its address, and the configuration with which OpenSSH reaches it and knows its key."""

    address: str
    ssh_config: Path
    known_hosts: Path


@contextmanager
def namespaced_host(number: int, folder: Path, environment: str = "") -> Iterator[NamespacedHost]:
    """Provide host `number`, from 0 on; its programs have the variables of `environment`, ``A=1 B=2``."""
    if not which("sshd"):
        install("openssh-server", report=print)
    folder.mkdir()
    name, here, there = f"rollproof-{number}", f"10.213.{number}.1", f"10.213.{number}.2"
    for key in ("host", "user"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key))
    known, config, served = folder / "known_hosts", folder / "ssh_config", folder / "sshd_config"
    known.write_text(f"{there} {(folder / 'host.pub').read_text()}")
    config.write_text(f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\nUserKnownHostsFile {known}\n")
    served.write_text(
        f"HostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\nListenAddress {there}\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\n"
        + (f"SetEnv {environment}\n" if environment else "")
    )
    with ExitStack() as undo:
        _run("ip", "netns", "add", name)
        undo.callback(_run, "ip", "netns", "delete", name)
        _run("ip", "link", "add", name, "type", "veth", "peer", "name", "far", "netns", name)
        _run("ip", "address", "add", f"{here}/30", "dev", name)
        _run("ip", "link", "set", name, "up")
        _run("ip", "-n", name, "address", "add", f"{there}/30", "dev", "far")
        _run("ip", "-n", name, "link", "set", "far", "up")
        Path("/run/sshd").mkdir(exist_ok=True)
        command = ["ip", "netns", "exec", name, str(which("sshd")), "-D", "-e", "-f", str(served)]
        with (folder / "sshd.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        undo.callback(server.wait, SECONDS)
        undo.callback(server.terminate)
        _run("sh", "-c", f"until ssh-keyscan -T 1 {there} 2>/dev/null | grep -q .; do sleep 0.1; done")
        yield NamespacedHost(f"root@{there}", config, known)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, timeout=SECONDS)
