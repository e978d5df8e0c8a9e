"""A small application of notes: PostgreSQL with pgvector, Valkey, files in a volume."""

VERSION = "1.0.0"
