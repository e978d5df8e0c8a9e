"""`/auth`: register, log in, check a token, log out."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field, SecretStr

from app import accounts, library
from app.access import Refusal, Token, User, forget_user, issue_token, remember_token, username_in
from app.identity import is_username
from app.routes.config import ModelSettings

router = APIRouter(prefix="/auth")


class Registration(BaseModel):
    """Body of a registration."""

    username: str = Field(min_length=1, max_length=50)
    email: str = Field(min_length=3, max_length=100)
    password: SecretStr = Field(min_length=1)


@router.post("/register")
def register(body: Registration) -> dict[str, object]:
    """Create a user in MySQL, then his model settings in MongoDB: a failure in between leaves none."""
    if not is_username(body.username):
        raise Refusal(400, "Username may hold letters and digits only")
    try:
        account = accounts.register(body.username, body.email, body.password.get_secret_value())
    except accounts.DuplicateAccountError as error:
        raise Refusal(400, "Username or email already registered") from error
    model = ModelSettings(model_id=f"{account.username}_{uuid.uuid4()}")
    library.save_model_config(library.new_model_config(account.username, model.model_dump()))
    return vars(account)


@router.post("/login")
def login(username: Annotated[str, Form()], password: Annotated[SecretStr, Form()]) -> dict[str, object]:
    """Exchange a name and a password for a token."""
    account = accounts.authenticate(username, password.get_secret_value())
    if account is None:
        raise Refusal(401, "Incorrect username or password")
    token = issue_token(account.username)
    remember_token(account.username, token)
    user = {"username": account.username, "email": account.email}
    return {"access_token": token, "token_type": "bearer", "user": user}


@router.get("/verify-token")
def verify_token(token: Token) -> dict[str, str]:
    """Return the user name in a token. As in LAYRA, Redis is not asked, and an invalid token is a 500."""
    return {"username": username_in(token)}


@router.post("/logout")
def logout(user: User) -> dict[str, str]:
    """Delete `user:NAME` from Redis. `token:TOKEN` stays there, so the token keeps working."""
    forget_user(user)
    return {"message": "User logged out successfully"}
