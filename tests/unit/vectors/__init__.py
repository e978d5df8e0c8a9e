"""Tests of Qdrant's and Milvus's packages, and of searches."""
