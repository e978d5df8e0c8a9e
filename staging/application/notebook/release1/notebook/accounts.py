"""Accounts with their passwords, and their sessions in Valkey, which end by themselves."""

import hashlib
import hmac
import os
import secrets

from psycopg.errors import UniqueViolation

from notebook.stores import rows, valkey

SESSION_SECONDS = 8 * 3600
_SALT_BYTES = 16


def digest(password: str, salt: bytes) -> bytes:
    """Return what is stored of a password."""
    return salt + hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)


def sign_up(name: str, password: str) -> bool:
    """Create an account; return False if the name is taken."""
    try:
        stored = digest(password, os.urandom(_SALT_BYTES))
        rows("INSERT INTO accounts (name, password) VALUES (%s, %s)", name, stored)
    except UniqueViolation as error:
        if error.diag.constraint_name != "accounts_name_key":
            raise
        return False
    return True


def log_in(name: str, password: str) -> str | None:
    """Return the token of a new session, or None for a wrong name or password."""
    found = rows("SELECT password FROM accounts WHERE name = %s", name)
    if not found or not hmac.compare_digest(found[0][0], digest(password, found[0][0][:_SALT_BYTES])):
        return None
    token = secrets.token_urlsafe(24)
    valkey().set(f"session:{token}", name, ex=SESSION_SECONDS)
    return token
