"""The signs of MongoDB in a compose project, and the statements that create its accounts."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from rollproof.stores.mongodb.descriptor import DESCRIPTOR, MongodbProfile
from rollproof.stores.reach import Reach
from rollproof.stores.recognising import Clues, Creation, Holder, Recognition, exchanged, password

_MESSAGE = 2013  # OP_MSG
# {hello: 1, $db: "admin"}, which a server answers to everybody.
_HELLO = b"\x1f\x00\x00\x00\x10hello\x00\x01\x00\x00\x00\x02$db\x00\x06\x00\x00\x00admin\x00\x00"


def _said(name: str) -> str:
    return f'(process.env.{name} || require("fs").readFileSync(process.env.{name}_FILE, "utf8").trim())'


_LOG_IN = (
    f'db.getSiblingDB("admin").auth({_said("MONGO_INITDB_ROOT_USERNAME")},'
    f" {_said('MONGO_INITDB_ROOT_PASSWORD')});"
)


def _settings(clues: Clues) -> dict[str, Any]:
    name = clues.says("MONGO_INITDB_DATABASE", "MONGODB_DATABASE")
    return {"databases": [name]} if name and name != "admin" else {}


def _greet(reach: Reach) -> str:
    """Return that it answers MongoDB's hello."""
    body = struct.pack("<iB", 0, 0) + _HELLO
    ask = struct.pack("<iiii", 16 + len(body), 1, 0, _MESSAGE) + body
    said = exchanged(reach, ask, 4096)
    if len(said) < len(ask[:16]) or struct.unpack_from("<i", said, 12)[0] != _MESSAGE:
        return ""
    return "MongoDB"


def _create(profile: MongodbProfile, holders: Mapping[str, Holder]) -> Creation:
    database = f"db.getSiblingDB({json.dumps(profile.authentication_database)})"
    granted = DESCRIPTOR.grants(profile)
    # A shell that reads its input goes on after an error, unless it is caught.
    lines = ["try {", _LOG_IN]
    for role, holder in holders.items():
        user = json.dumps(holder.user)
        change = f'{database}.changeUserPassword({user}, "{password(role)}")'
        create = f'{database}.createUser({{user: {user}, pwd: "{password(role)}", roles: []}})'
        lines += [
            f"{database}.getUser({user}) ? {change} : {create};",
            *(f"{line};" for line in (granted.reader if role == "reader" else granted.operator)),
        ]
    lines += ["} catch (error) {", "  process.stderr.write(`${error}\\n`);", "  quit(1);", "}"]
    return Creation(
        lines=lines,
        # It echoes each line that it reads, and what comes of it.
        client='exec mongosh --quiet --norc "mongodb://127.0.0.1/admin?directConnection=true" > /dev/null',
        fresh=(
            "Accounts are in the server's own volume. For a fresh server, which has an empty one: "
            "mount a file of these statements, with the passwords in it, at /docker-entrypoint-"
            "initdb.d/50-rollproof.js."
        ),
    )


RECOGNITION = Recognition(
    name="mongodb",
    images=("mongo", "mongodb", "mongodb-community-server", "mongodb-enterprise-server"),
    ports=(27017,),
    variables=("MONGO_INITDB_", "MONGODB_ROOT_"),
    settings=_settings,
    logins=(
        ("$MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"),
        ("root", "MONGODB_ROOT_PASSWORD"),
    ),
    greet=_greet,
    holdings="rollproof.stores.mongodb.view:holdings",
    create=_create,
)
