"""The tables of accounts, sign-ins, one-time links, tokens and rate limits.

Owns columns and constraints. Refuses to know rules: those stand in the modules that write the rows. No column holds a
password, a cookie, a link or a token, only hashes of them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from dermaloop.cases.database import Base, UtcTime

ID = String(36)
HASH = String(64)


class AccountRow(Base):
    """One person (or the owner before there is a name). Never deleted: the audit log refers to it."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(200), unique=True)
    """The name as it is compared: normalised and case-folded."""
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    password_at: Mapped[datetime | None] = mapped_column(UtcTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    last_sign_in_at: Mapped[datetime | None] = mapped_column(UtcTime)


class SignInRow(Base):
    """One browser that is signed in."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    secret_hash: Mapped[str] = mapped_column(HASH, unique=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    begun_at: Mapped[datetime] = mapped_column(UtcTime)
    seen_at: Mapped[datetime] = mapped_column(UtcTime)
    ends_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(200))


class LinkRow(Base):
    """One link that works once: signs the owner in, or lets a person choose a password."""

    __tablename__ = "one_time_links"

    secret_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    made_at: Mapped[datetime] = mapped_column(UtcTime)
    ends_at: Mapped[datetime] = mapped_column(UtcTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime)


class TokenRow(Base):
    """One program's key to the API."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(ID, primary_key=True)
    secret_hash: Mapped[str] = mapped_column(HASH, unique=True)
    account_id: Mapped[str] = mapped_column(ID, ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[str] = mapped_column(String(200))
    made_at: Mapped[datetime] = mapped_column(UtcTime)
    ends_at: Mapped[datetime] = mapped_column(UtcTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcTime)


class LimitRow(Base):
    """One counter of attempts within a window of time; the key is a hash, so that no name typed in is kept."""

    __tablename__ = "attempt_counters"

    key: Mapped[str] = mapped_column(HASH, primary_key=True)
    count: Mapped[int] = mapped_column()
    ends_at: Mapped[datetime] = mapped_column(UtcTime, index=True)
