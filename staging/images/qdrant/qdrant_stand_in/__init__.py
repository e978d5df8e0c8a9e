"""A stand-in for the Qdrant server: Qdrant's own engine in process, behind part of Qdrant's REST interface.

It has collections, aliases, payload indexes, and points (upsert, delete, payload, retrieve, scroll, exact
count, query). It has snapshots (create, list, download, delete, recover from a file, upload), a full and a
read-only key, and data that survives kill -9.

It has no gRPC, clusters or shards, quantization, recommend, discover and context queries, recovery from a
URL, or snapshots of the whole storage. It refuses them with an error that says so. The engine builds no HNSW
graph here, so every search is exact. The engine cannot write a snapshot itself: one is an archive of the
collection's folder, which a Qdrant server does not read.
"""

VERSION = "1.20.0-stand-in"
