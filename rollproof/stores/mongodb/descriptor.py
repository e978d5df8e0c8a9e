"""The profile and descriptor of MongoDB."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rollproof.profile.data_formats import Format, Marks, minor_version
from rollproof.profile.recognition import IN_VOLUME, Recognition, Statements
from rollproof.profile.sections import WatchedProfile
from rollproof.profile.store_descriptor import Descriptor, Grants, Means, in_a_database

FCV = "fcv"
"""The mark of the feature compatibility version."""


class MongodbProfile(WatchedProfile):
    """MongoDB, alone or as a replica set."""

    kind: Literal["mongodb"]
    databases: Annotated[tuple[str, ...], Field(min_length=1)]
    """Databases of the target."""
    authentication_database: str = "admin"
    """Database that knows the accounts."""


def _said(what: str) -> str:
    name = f"process.env.MONGO_INITDB_ROOT_{what}"
    return f'({name} || require("fs").readFileSync({name}_FILE, "utf8").trim())'


def _grants(profile: MongodbProfile) -> Grants:
    def granted(user: str, roles: tuple[str, ...]) -> tuple[str, ...]:
        each = ", ".join(f'{{role: "{role}", db: "admin"}}' for role in roles)
        database = f'db.getSiblingDB("{profile.authentication_database}")'
        return (f'{database}.grantRolesToUser("{user}", [{each}]);',)

    writing = ("readWriteAnyDatabase", "dbAdminAnyDatabase", "backup", "restore")
    return Grants(
        reader=granted(profile.reader.user, ("readAnyDatabase", "clusterMonitor")),
        operator=granted(profile.operator.user, (*writing, "clusterMonitor", "hostManager")),
    )


def _format_of(marks: Marks) -> Format | None:
    """Return the feature compatibility version, by which MongoDB marks what its data may hold."""
    return minor_version(marks, FCV) or minor_version(marks)


DESCRIPTOR = Descriptor(
    profile=MongodbProfile,
    least_risk="medium",
    means=lambda _: Means.DOCUMENTS,
    keys=("_id",),
    wrong_place=in_a_database,
    reports_rights=True,
    has_format_marks=True,
    reader="rollproof.stores.mongodb.reader:MongodbReader",
    grants=_grants,
    recognition=Recognition(
        name="mongodb",
        images=("mongo", "mongodb", "mongodb-community-server", "mongodb-enterprise-server"),
        ports=(27017,),
        variables=("MONGO_INITDB_", "MONGODB_ROOT_"),
        listed={"databases": ("MONGO_INITDB_DATABASE", "MONGODB_DATABASE")},
        logins=(
            ("$MONGO_INITDB_ROOT_USERNAME", "MONGO_INITDB_ROOT_PASSWORD"),
            ("root", "MONGODB_ROOT_PASSWORD"),
        ),
        statements=Statements(
            # A shell that reads its input goes on after an error, unless it is caught.
            head='try {\nconst admin = db.getSiblingDB("admin");\n'
            f"admin.auth({_said('USERNAME')}, {_said('PASSWORD')});",
            account='admin.getUser("{user}") ? admin.changeUserPassword("{user}", "{password}")'
            ' : admin.createUser({user: "{user}", pwd: "{password}", roles: []});\n{grants}',
            tail="} catch (error) {\n  process.stderr.write(`${error}\\n`);\n  quit(1);\n}",
            # It echoes each line that it reads, and what comes of it.
            client="exec mongosh --quiet --norc 'mongodb://127.0.0.1/?directConnection=true' > /dev/null",
            fresh=f"{IN_VOLUME}50-rollproof.js.",
        ),
    ),
    keeper="rollproof.stores.mongodb.keeper:MongodbKeeper",
    format_of=_format_of,
    clients="rollproof.stores.mongodb.keeper:MongodbClients",
)
