# ruff: noqa: INP001 -- the package is release 1's: this file is laid upon it
"""The tables of this release. When the application starts, `app.migrate` generates a migration from them."""

from datetime import datetime

from sqlalchemy import CHAR, VARCHAR, DateTime, Index, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables together."""


class User(Base):
    """A user."""

    __tablename__ = "users"
    __table_args__ = (
        Index("ix_users_username", "username", unique=True),
        Index("ix_users_email", "email", unique=True),
        {"mysql_default_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    username: Mapped[str] = mapped_column(VARCHAR(50))
    email: Mapped[str] = mapped_column(VARCHAR(100))
    hashed_password: Mapped[str] = mapped_column(VARCHAR(100))


class Document(Base):
    """A file, as MySQL knows it."""

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_knowledge_base", "knowledge_base_id"),
        {"mysql_default_charset": "utf8mb4"},
    )

    file_id: Mapped[str] = mapped_column(VARCHAR(100), primary_key=True)
    username: Mapped[str] = mapped_column(VARCHAR(50))
    knowledge_base_id: Mapped[str] = mapped_column(VARCHAR(100))
    filename: Mapped[str] = mapped_column(VARCHAR(200))
    byte_size: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(CHAR(64))
    created_at: Mapped[datetime] = mapped_column(DateTime)
