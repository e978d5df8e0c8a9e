"""A stand-in for the Qdrant server: Qdrant's own engine in process, behind a part of its REST interface.

It has what the staging stack and its tests ask for: collections, aliases, payload indexes, points (upsert,
delete, scroll, exact count, nearest), a snapshot of a collection (create, list, download, delete, upload), a
full and a read-only key, and data that survives kill -9. It refuses all else, most of it as an unknown path.

A collection that asks for an `indexing_threshold` has a graph (HNSW); searches of all others are exact. The
engine cannot write a snapshot itself: one is an archive of the collection's folder, which a Qdrant server
does not read.
"""

VERSION = "1.20.0-stand-in"
