"""Addresses and secrets, from the environment and from `/run/secrets`."""

import os
from functools import cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

STORE_DEADLINE = 5.0
"""Seconds that a call to a store may take while a request waits for it."""

BULK_DEADLINE = 60.0
"""Seconds that a call may take in the seed and in a migration, where nobody waits."""


class Settings(BaseSettings):
    """The stores' addresses and the application's accounts there. A secret's field is its file's name."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)

    mysql_host: str = "mysql"
    mysql_port: int = 3306
    mysql_database: str = "imagedb"
    mysql_user: str = "app"
    mysql_app: SecretStr

    mongodb_host: str = "mongodb"
    mongodb_port: int = 27017
    mongodb_database: str = "mongodb"
    mongodb_user: str = "app"
    mongodb_auth_source: str = "admin"
    mongodb_app: SecretStr

    redis_host: str = "redis"
    redis_port: int = 6379
    redis_user: str = "app"
    redis_app: SecretStr

    s3_endpoint: str = "minio:8333"
    s3_region: str = "us-east-1"
    s3_bucket: str = "minio-file"
    s3_access_key: str = "app"
    s3_app: SecretStr

    milvus_uri: str = "http://milvus:19530"
    milvus_user: str = "app"
    milvus_app: SecretStr

    qdrant_url: str = "http://qdrant:6333"
    qdrant_operator: SecretStr

    kafka_address: str = "kafka:9092"

    jwt_key: SecretStr
    canary_password: SecretStr | None = None


@cache
def settings() -> Settings:
    """Read the settings once.

    Raises:
        pydantic.ValidationError: A secret is neither in the environment nor a file.
    """
    return Settings(_secrets_dir=os.environ.get("SECRETS_DIR", "/run/secrets"))
