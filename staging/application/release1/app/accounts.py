"""Users and the register of documents, in MySQL."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pymysql

from app.connections import mysql
from app.passwords import hash_password, verify_password


class DuplicateAccountError(Exception):
    """The name or the address is taken."""


@dataclass(frozen=True)
class Account:
    """A user, as others may see it."""

    id: int
    username: str
    email: str


@dataclass(frozen=True)
class DocumentRecord:
    """MySQL's record of a file: its owner, its knowledge base, its size and its checksum."""

    file_id: str
    username: str
    knowledge_base_id: str
    filename: str
    byte_size: int
    sha256: str
    created_at: datetime


def register(username: str, email: str, password: str) -> Account:
    """Create a user.

    Raises:
        DuplicateAccountError: The name or the address is taken.
    """
    hashed = hash_password(password, secrets.token_bytes(16))
    try:
        with mysql() as cursor:
            cursor.execute(
                "INSERT INTO users (username, email, hashed_password) VALUES (%s, %s, %s)",
                (username, email, hashed),
            )
            return Account(int(cursor.lastrowid), username, email)
    except pymysql.err.IntegrityError as error:
        raise DuplicateAccountError(username) from error


def authenticate(username: str, password: str) -> Account | None:
    """Return the user if the password is right, else None.

    Raises:
        ValueError: The stored hash is incomplete.
    """
    with mysql() as cursor:
        cursor.execute(
            "SELECT id, username, email, hashed_password FROM users WHERE username = %s", (username,)
        )
        row = cursor.fetchone()
    if row is None or not verify_password(password, row["hashed_password"]):
        return None
    return Account(row["id"], row["username"], row["email"])


def record_documents(records: Sequence[DocumentRecord]) -> None:
    """Register files; an already registered file keeps its row."""
    with mysql() as cursor:
        cursor.executemany(
            "INSERT IGNORE INTO documents"
            " (file_id, username, knowledge_base_id, filename, byte_size, sha256, created_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [tuple(vars(record).values()) for record in records],
        )


def forget_documents(knowledge_base_id: str) -> None:
    """Remove a knowledge base's files from the register."""
    with mysql() as cursor:
        cursor.execute("DELETE FROM documents WHERE knowledge_base_id = %s", (knowledge_base_id,))
