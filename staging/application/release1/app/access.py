"""Authentication: tokens, and the rule that users reach only their own records."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, Header

from app.connections import TOKENS, redis
from app.identity import owner_of
from app.settings import settings

_ALGORITHM = "HS256"
LIFETIME = timedelta(days=25)


class Refusal(Exception):
    """Refuses a request with a status and `{"message"}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def issue_token(username: str, issued_at: datetime | None = None) -> str:
    """Sign a token; it is invalid before `remember_token`."""
    at = issued_at or datetime.now(UTC)
    claims = {"sub": username, "iat": at, "exp": at + LIFETIME}
    return jwt.encode(claims, settings().jwt_key.get_secret_value(), algorithm=_ALGORITHM)


def remember_token(username: str, token: str) -> None:
    """Store a token in Redis, under itself and under its user, for 25 days."""
    with redis(TOKENS).pipeline() as pipeline:
        pipeline.set(f"token:{token}", username, ex=LIFETIME)
        pipeline.set(f"user:{username}", token, ex=LIFETIME)
        pipeline.execute()


def forget_user(username: str) -> None:
    """Delete the user's entry; issued tokens stay valid, as in LAYRA."""
    redis(TOKENS).delete(f"user:{username}")


def username_in(token: str) -> str:
    """Return a token's user name.

    Raises:
        jwt.PyJWTError: The token is not ours, or is too old.
    """
    claims = jwt.decode(token, settings().jwt_key.get_secret_value(), algorithms=[_ALGORITHM])
    return str(claims["sub"])


def bearer_token(authorization: Annotated[str | None, Header()] = None) -> str:
    """Return the request's bearer token.

    Raises:
        Refusal: 401, the request has no token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refusal(401, "Not authenticated")
    return token


Token = Annotated[str, Depends(bearer_token)]


def current_user(token: Token) -> str:
    """Return the name of the request's user.

    Raises:
        Refusal: 404, the token is not in Redis; 401, its signature or its time is wrong.
    """
    if redis(TOKENS).get(f"token:{token}") is None:
        raise Refusal(404, "Token not found")
    try:
        return username_in(token)
    except jwt.PyJWTError as error:
        raise Refusal(401, "Could not validate credentials") from error


User = Annotated[str, Depends(current_user)]


def require_owner(user: str, identifier: str) -> None:
    """Require that the user owns this name or id.

    Raises:
        Refusal: 403.
    """
    if owner_of(identifier) != user:
        raise Refusal(403, "You are not authorized to access this resource")
