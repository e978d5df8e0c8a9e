"""The key that configuration is hashed with, so that a baseline alone tells nobody a secret.

Passwords and tokens are in environments, commands and bound files. A plain hash of a weak one is found by
guessing, so a baseline holds an HMAC, and its key is elsewhere. It is derived from the profile's
`baseline_key` if there is one. Else it is in a file of this machine beside the folder of baselines,
``BASELINES.key``. A baseline that is copied or handed on takes no key along. On another machine the
configuration can be compared where `baseline_key` is in the profile, or that file was copied. Else the
comparison is broken, and says so.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rollproof.errors import Unverifiable, reason_of
from rollproof.profile.profile import Target
from rollproof.reading import read_regular
from rollproof.system.files import create_file, make_folders, sync_folder

_BYTES = 32
_PURPOSE = b"rollproof: configuration of containers"


class ConfigurationKey:
    """Makes keyed hashes with one key."""

    def __init__(self, key: bytes) -> None:
        """Keep `key`, at least 32 random bytes or what was derived from a secret."""
        self._key = key

    @property
    def id(self) -> str:
        """Name the key: equal for equal keys, and of no use to find it."""
        return hmac.new(self._key, b"id", "sha256").hexdigest()[:16]

    def __call__(self, name: str, content: Iterable[bytes]) -> str:
        """Return the keyed hash of `content`, different for the same content under another name."""
        digest = hmac.new(self._key, name.encode(errors="surrogateescape") + b"\0", "sha256")
        for block in content:
            digest.update(block)
        return digest.hexdigest()


def new_configuration_key(target: Target) -> ConfigurationKey:
    """Return the key of a capture; make this machine's key if the profile has none and there is none.

    Raises:
        Unverifiable: the key's file cannot be read or written, or holds no key.
    """
    path = _path(target)
    if target.baseline_key is None and not path.exists():
        try:
            make_folders(path.parent)
            with suppress(FileExistsError), create_file(path) as stream:  # another capture may have made it
                stream.write(secrets.token_bytes(_BYTES).hex().encode())
            sync_folder(path.parent)
        except OSError as error:
            raise _unusable(path, reason_of(error)) from None
    return configuration_key_of(target)


def configuration_key_of(target: Target) -> ConfigurationKey:
    """Return the key that the configuration of `target` is hashed with here.

    Raises:
        Unverifiable: there is no key here.
    """
    if target.baseline_key is not None:
        key = target.baseline_key.get_secret_value().encode()
        return ConfigurationKey(hmac.new(key, _PURPOSE, "sha256").digest())
    path = _path(target)
    try:
        key = bytes.fromhex(read_regular(path).decode("ascii"))
    except (OSError, ValueError) as error:
        raise _unusable(path, reason_of(error)) from None
    if len(key) != _BYTES:
        raise _unusable(path, f"{len(key)} bytes")
    return ConfigurationKey(key)


def require_key(configuration_key: ConfigurationKey, key: str, target: Target) -> None:
    """Check that the baseline was captured with the key named `key`.

    Raises:
        Unverifiable: it was captured with another one, so that nothing can be compared.
    """
    if configuration_key.id != key:
        source = "baseline_key of the profile" if target.baseline_key else str(_path(target))
        raise _unusable(source, f"key {configuration_key.id}", f"key {key}, as at the capture")


def _path(target: Target) -> Path:
    baselines = target.folders.baselines
    return baselines.with_name(f"{baselines.name}.key")


def _unusable(
    source: Path | str, observed: str, expected: str = f"{_BYTES} bytes in hexadecimal digits"
) -> Unverifiable:
    return Unverifiable(
        what="key of the configuration",
        expected=expected,
        observed=observed,
        source=str(source),
        hint="verify on the machine that captured, copy its key file to this one, or give the profile a"
        " baseline_key and capture again",
    )
