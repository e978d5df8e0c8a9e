"""The rights of a key in Qdrant: it is asked to delete no point of a collection that nobody has."""

from __future__ import annotations

import uuid

from rollproof.stores.contract import Rights
from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.qdrant.view import Rest, path_of
from rollproof.stores.reach import Readable

_DENIED, _NO_COLLECTION = frozenset({401, 403}), 404
_WRITING = ("change points",)


def rights(readable: Readable[QdrantProfile]) -> Rights:
    """Return whether the key may write: the server sees that before it looks for the collection."""
    path = f"{path_of(f'rollproof-{uuid.uuid4()}')}/points/delete?wait=true"
    rest = Rest(readable.reach)
    # A key that the server does not know at all is refused for this too.
    rest.call("GET", "/collections")
    status = rest.status("POST", path, {"points": []})
    if status in _DENIED:
        return Rights(lacks=_WRITING)
    if status == _NO_COLLECTION:
        return Rights(writes=_WRITING)
    raise readable.reach.failed(
        f"HTTP {status}",
        expected=f"HTTP {_NO_COLLECTION} or {', '.join(map(str, sorted(_DENIED)))} of POST {path}",
        hint="whether this key may write cannot be told: see Qdrant's log",
    )
