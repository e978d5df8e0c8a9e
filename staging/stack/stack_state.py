"""The state of a staging stack on this machine: secrets and settings, kept outside version control."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from rollproof.system.files import write_whole
from staging.stack.shape import Shape
from staging.stack.slot import Slot

SECRET_BYTES = 24
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
COMPOSE = [Path(__file__).parents[1] / name for name in ("compose.yaml", "compose.notebook.yaml")]
SECRETS = {
    name for file in COMPOSE for name in re.findall(r'/secrets/(\w+)"', file.read_text(encoding="utf-8"))
}


@dataclass(frozen=True)
class State:
    """The state folder of one slot of the checkout in `root`."""

    folder: Path
    slot: Slot
    root: Path

    @property
    def secrets(self) -> Path:
        """The folder of secrets: one file each, without a newline, readable by its owner alone."""
        return self.folder / "secrets"

    @property
    def application(self) -> Path:
        """The application's own git repository."""
        return self.folder / "application"

    @property
    def environment(self) -> Path:
        """The file with the compose files' variables; it holds no secret."""
        return self.folder / "compose.env"

    @property
    def certificates(self) -> Path:
        """The certificates that image builds trust; empty if this machine names none."""
        return self.folder / "ca.crt"

    @property
    def shape(self) -> Shape:
        """The shape of the stack that is up, or was last; the usual one if none is recorded."""
        return Shape(self._shape.read_text(encoding="utf-8")) if self._shape.exists() else Shape.USUAL

    def take(self, shape: Shape) -> None:
        """Record the shape in which the stack is brought up: whoever meets it later finds it by that.

        An application of another shape is removed: its compose file does not fit these stores.
        """
        if shape is not self.shape:
            shutil.rmtree(self.application, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._shape.write_text(shape, encoding="utf-8")

    @property
    def _shape(self) -> Path:
        return self.folder / "shape"

    def prepare(self) -> None:
        """Create missing files. Existing secrets are kept, because the stores know them."""
        for folder in (self.folder, self.secrets, self.folder / "backups", self.folder / "baselines"):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.chmod(0o700)
        for name in SECRETS:
            path = self.secrets / name
            if not path.exists():
                _write_private(path, secrets.token_urlsafe(SECRET_BYTES))
        channel, address = self.secrets / "team_channel", self.slot.channel_address
        if not channel.exists() or channel.read_text() != address:
            channel.unlink(missing_ok=True)
            _write_private(channel, address)
        if self.slot != Slot() or self.shape is Shape.SWARM:
            text = self.slot.profile_text(self.root, self.shape)
            _renew(self.slot.profile(self.root, self.shape), text.encode())
        _renew(self.certificates, trusted_certificates())
        settings = {
            "STAGING_STATE": self.folder,
            "APPLICATION_DIR": self.application,
            "CA_BUNDLE": self.certificates,
            **self.slot.settings,
        }
        _renew(self.environment, "".join(f"{name}={value}\n" for name, value in settings.items()).encode())


def trusted_certificates() -> bytes:
    """Return the certificates that this machine's own pip would trust, b"" if it names none."""
    named = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    path = Path(named) if named else SYSTEM_CERTIFICATES
    return path.read_bytes() if path.is_file() else b""


def _renew(path: Path, content: bytes) -> None:
    """Write a file unless it has that content; a process that reads it meanwhile sees it whole."""
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content, mode=0o644)


def _write_private(path: Path, content: str) -> None:
    """Write a file that is never readable by others; a kill leaves no partial file."""
    staged = path.with_name(f".{path.name}")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    staged.rename(path)
