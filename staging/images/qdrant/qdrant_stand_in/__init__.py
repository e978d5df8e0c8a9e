"""A stand-in for the Qdrant server: Qdrant's own engine in process, behind part of Qdrant's REST interface.

What it has: collections, aliases, points (upsert, delete, payload, retrieve, scroll, exact count, query),
payload indexes, snapshots (create, list, download, delete, recover from a file, upload), a full and a
read-only key, and data that survives kill -9.

What it has not, and refuses with an error that says so: gRPC, clusters and shards, quantization, recommend,
discover and context queries, recovery from a URL, snapshots of the whole storage. The engine builds no HNSW
graph here, so every search is exact. The engine cannot write a snapshot itself: one is an archive of the
collection's folder, which a Qdrant server does not read.
"""

VERSION = "1.20.0-stand-in"
