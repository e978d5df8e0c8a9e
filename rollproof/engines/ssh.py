"""Other machines of a target, asked over SSH by testinfra: a library that not every target needs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import testinfra

from rollproof.engines.host import FORMAT, FileSystem, file_system_of
from rollproof.errors import Meaning, Unverifiable
from rollproof.profile.engines import HostProfile

# Seconds between signs of life, two of which may be missing.
_ALIVE = 3


@dataclass(frozen=True, slots=True)
class HostState:
    """What one host answered.

    `ahead` are the seconds that its clock is ahead of this machine's, by which it may be off by `uncertain`.
    `engine` is what its container engine calls itself, or "" if none answered, with the words in `refusal`.
    """

    file_systems: Sequence[FileSystem]
    memory_percent: float
    ahead: float
    uncertain: float
    engine: str = ""
    refusal: str = ""


def ask_host(name: str, profile: HostProfile) -> HostState:
    """Return the state of a host; each of its few questions has the deadline of the profile.

    Raises:
        Unverifiable: it cannot be reached, its key is not the known one, or an answer is not as expected.
    """
    host = _Host(name, profile)
    rooms = [host.file_system(path) for path in profile.paths]
    memory = host.memory_percent()
    ahead, uncertain = host.clock()
    engine, refusal = host.engine() if profile.engine else ("", "")
    return HostState(rooms, memory, ahead, uncertain, engine, refusal)


class _Host:
    def __init__(self, name: str, profile: HostProfile) -> None:
        self._name = name
        self._profile = profile
        self._seconds = f"{profile.deadline_seconds:g}"
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": f"{max(1.0, profile.deadline_seconds):.0f}",
            "ServerAliveInterval": _ALIVE,
        }
        config = profile.ssh_config
        self._host = testinfra.get_host(
            f"ssh://{profile.address}",
            ssh_config=None if config is None else str(config),
            ssh_extra_args=" ".join(f"-o {option}={value}" for option, value in options.items()),
            # No process of OpenSSH stays behind.
            controlpersist=0,
        )

    def file_system(self, path: str) -> FileSystem:
        text = self._answer("stat -f -c %s %s", FORMAT, path)
        try:
            return file_system_of(f"{path} of {self._name}", text)
        except ValueError:
            raise self._wrong("the figures of `stat -f`", text) from None

    def memory_percent(self) -> float:
        text = self._answer("cat /proc/meminfo")
        try:
            of = {
                key: int(value.split()[0]) for key, value in (line.split(":") for line in text.splitlines())
            }
            return 100 - 100 * of["MemAvailable"] / of["MemTotal"]
        except (KeyError, ValueError):
            raise self._wrong("the figures of /proc/meminfo", text) from None

    def clock(self) -> tuple[float, float]:
        asked = time.time()
        text = self._answer("date +%s", "%s.%N")
        answered = time.time()
        try:
            return float(text) - (asked + answered) / 2, (answered - asked) / 2
        except ValueError:
            raise self._wrong("a time", text) from None

    def engine(self) -> tuple[str, str]:
        code, output, errors = self._run("docker info --format %s", "{{.Name}} {{.ServerVersion}}")
        # Without an engine docker may end well all the same, and say nothing but its error.
        return (output, "") if output and not code else ("", errors or f"exit code {code}")

    def _answer(self, command: str, *words: str) -> str:
        code, output, errors = self._run(command, *words)
        if code:
            raise self._wrong("exit code 0", f"exit code {code} of {command.split(maxsplit=1)[0]}: {errors}")
        return output

    def _run(self, command: str, *words: str) -> tuple[int, str, str]:
        try:
            ran = self._host.run(f"timeout %s {command}", self._seconds, *words)
        except RuntimeError as error:  # the library's, of ssh's own exit code
            (failed,) = error.args
            raise self._wrong("a session of SSH", failed.stderr.strip()) from None
        return ran.rc, ran.stdout.strip(), ran.stderr.strip()

    def _wrong(self, expected: str, observed: str) -> Unverifiable:
        config = "" if self._profile.ssh_config is None else f"-F {self._profile.ssh_config} "
        return Unverifiable(
            what=f"host {self._name}",
            expected=expected,
            # Of several lines of OpenSSH the last one is the reason.
            observed=observed.splitlines()[-1] if observed else "none",
            source=f"ssh {self._profile.address}",
            hint=f"ssh {config}-o BatchMode=yes {self._profile.address} true",
            means=Meaning.UNREACHABLE,
        )
