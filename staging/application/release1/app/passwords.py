"""Password hashes in one printable column of at most 100 characters: `scrypt$n$r$p$salt$digest`."""

import base64
import hashlib
import hmac

_N, _R, _P = 1024, 8, 1
_PARTS = 6


def hash_password(password: str, salt: bytes) -> str:
    """Hash a password with its own salt (16 bytes). The cost is low: rehearsals make users by the hundred."""
    digest = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)
    return f"scrypt${_N}${_R}${_P}${_encode(salt)}${_encode(digest)}"


def verify_password(password: str, stored: str) -> bool:
    """Compare a password with a stored hash in constant time.

    Raises:
        ValueError: The stored text is not a whole hash.
    """
    parts = stored.split("$")
    if len(parts) != _PARTS or parts[0] != "scrypt":
        raise ValueError(
            f"stored password hash: expected {_PARTS} parts, the first scrypt, observed {len(parts)}"
        )
    n, r, p = (int(part) for part in parts[1:4])
    expected = base64.b64decode(parts[5])
    observed = hashlib.scrypt(password.encode(), salt=base64.b64decode(parts[4]), n=n, r=r, p=p, dklen=32)
    if len(expected) != len(observed):
        raise ValueError(f"stored password hash: expected {len(observed)} bytes, observed {len(expected)}")
    return hmac.compare_digest(observed, expected)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
