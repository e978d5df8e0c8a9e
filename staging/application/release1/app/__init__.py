"""A small question-answering service over documents: MySQL, MongoDB, S3, Milvus, Qdrant, Redis, Kafka."""

VERSION = "1.0.0"
