"""The REST interface: paths and bodies are Qdrant's."""

from __future__ import annotations

import hmac
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import qdrant_edge as edge
from fastapi import Body, FastAPI, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse

from . import VERSION
from .catalogue import Catalogue
from .configuration import INDEX_TYPES
from .convert import (
    Json,
    deletion,
    filter_of,
    id_json,
    point_id,
    point_json,
    query,
    scroll,
    upsert,
    vectors_deletion,
)
from .refusal import Refusal, wrong_input
from .snapshots import Snapshots, verify

FLUSH_SECONDS = 5
# POST requests that change nothing, by how their path ends.
READS = ("/points", "/points/scroll", "/points/count", "/points/query")
Call = Callable[[Request], Awaitable[Response]]


def create_app(root: Path, full_key: str, read_only_key: str) -> FastAPI:
    """Return the application that keeps its data under `root`."""
    catalogue = Catalogue(root)
    stopping = threading.Event()

    def flush_regularly() -> None:
        while not stopping.wait(FLUSH_SECONDS):
            catalogue.flush()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        flusher = threading.Thread(target=flush_regularly, name="flush", daemon=True)
        flusher.start()
        yield
        stopping.set()
        flusher.join(FLUSH_SECONDS)
        catalogue.close()

    app = FastAPI(title="qdrant stand-in", version=VERSION, lifespan=lifespan)

    @app.exception_handler(Refusal)
    async def refuse(_: Request, refusal: Refusal) -> JSONResponse:
        return _error(refusal.status, str(refusal))

    @app.get("/")
    def about() -> Json:
        return {"title": "qdrant stand-in (qdrant-edge)", "version": VERSION, "commit": "stand-in"}

    add_keys(app, full_key, read_only_key)
    add_collections(app, catalogue)
    add_aliases(app, catalogue)
    add_points(app, catalogue)
    add_snapshots(app, catalogue, Snapshots(root / "snapshots"))
    return app


def add_keys(app: FastAPI, full_key: str, read_only_key: str) -> None:
    """Let the full key do all, and the read-only key read."""

    @app.middleware("http")
    async def authorize(request: Request, call: Call) -> Response:
        offered = request.headers.get("api-key", "")
        if request.url.path == "/" or _same(offered, full_key):
            return await call(request)
        if not _same(offered, read_only_key):
            return _error(401, "Must provide a valid API key or an Authorization bearer token")
        reads = request.method == "POST" and request.url.path.endswith(READS)
        if reads or request.method in {"GET", "HEAD"}:
            return await call(request)
        return _error(403, "Forbidden: the read-only key does not allow this request")


def _same(offered: str, key: str) -> bool:
    return hmac.compare_digest(offered.encode(), key.encode())


def _error(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"status": {"error": reason}, "time": 0.0}, status)


def _done(result: Any) -> JSONResponse:  # noqa: ANN401 - JSON
    """Return an answer; a plain JSON response spares the framework's walk over every vector."""
    return JSONResponse({"result": result, "status": "ok", "time": 0.0})


def _completed() -> JSONResponse:
    return _done({"operation_id": time.time_ns() // 1000, "status": "completed"})


def add_collections(app: FastAPI, catalogue: Catalogue) -> None:
    """Add collections and payload indexes."""

    @app.get("/collections")
    def names() -> JSONResponse:
        return _done({"collections": [{"name": name} for name in catalogue.names()]})

    @app.get("/collections/{name}")
    def info(name: str) -> JSONResponse:
        return _done(catalogue.get(name).info())

    @app.get("/collections/{name}/exists")
    def exists(name: str) -> JSONResponse:
        return _done({"exists": catalogue.exists(name)})

    @app.put("/collections/{name}")
    def create(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        catalogue.create(name, body)
        return _done(result=True)

    @app.delete("/collections/{name}")
    def delete(name: str) -> JSONResponse:
        return _done(catalogue.delete(name))

    @app.put("/collections/{name}/index")
    def create_index(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        with wrong_input():
            kind = INDEX_TYPES[body["field_schema"]]
            operation = edge.UpdateOperation.create_field_index(body["field_name"], kind)
        catalogue.get(name).update(operation)
        return _completed()

    @app.delete("/collections/{name}/index/{field}")
    def delete_index(name: str, field: str) -> JSONResponse:
        catalogue.get(name).update(edge.UpdateOperation.delete_field_index(field))
        return _completed()


def add_aliases(app: FastAPI, catalogue: Catalogue) -> None:
    """Add second names of collections."""

    @app.get("/aliases")
    def aliases() -> JSONResponse:
        pairs = sorted(catalogue.aliases.items())
        return _done({"aliases": [{"alias_name": one, "collection_name": two} for one, two in pairs]})

    @app.post("/collections/aliases")
    def change_aliases(body: Annotated[Json, Body()]) -> JSONResponse:
        catalogue.change_aliases(body.get("actions", []))
        return _done(result=True)


def add_points(app: FastAPI, catalogue: Catalogue) -> None:
    """Add everything that changes points or reads them."""

    def change(method: str, path: str, convert: Callable[[Json], edge.UpdateOperation]) -> None:
        def handle(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
            collection = catalogue.get(name)
            with wrong_input():
                operation = convert(body)
            collection.update(operation)
            return _completed()

        app.add_api_route(f"/collections/{{name}}/points{path}", handle, methods=[method])

    change("PUT", "", upsert)
    change("POST", "/delete", deletion)
    change("POST", "/vectors/delete", vectors_deletion)

    @app.post("/collections/{name}/points")
    def retrieve(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        collection = catalogue.get(name)
        with collection.lock, wrong_input():
            records = collection.shard.retrieve(
                [point_id(each) for each in body["ids"]],
                with_payload=body.get("with_payload", True),
                with_vector=body.get("with_vector") or False,
            )
        return _done([point_json(record) for record in records])

    @app.post("/collections/{name}/points/count")
    def count(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        # Always exact: an estimate would tempt somebody to compare it.
        collection = catalogue.get(name)
        with collection.lock, wrong_input():
            request = edge.CountRequest(exact=True, filter=filter_of(body.get("filter")))
            return _done({"count": collection.shard.count(request)})

    @app.post("/collections/{name}/points/scroll")
    def scrolled(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        collection = catalogue.get(name)
        with collection.lock, wrong_input():
            records, offset = collection.shard.scroll(scroll(body))
        following = None if offset is None else id_json(offset)
        return _done({"points": [point_json(record) for record in records], "next_page_offset": following})

    @app.post("/collections/{name}/points/query")
    def found(name: str, body: Annotated[Json, Body()]) -> JSONResponse:
        collection = catalogue.get(name)
        with collection.lock, wrong_input():
            points = collection.shard.query(query(body))
        return _done({"points": [point_json(point) for point in points]})


def add_snapshots(app: FastAPI, catalogue: Catalogue, snapshots: Snapshots) -> None:
    """Add snapshots of a collection, and the way back from one."""

    @app.get("/collections/{name}/snapshots")
    def names(name: str) -> JSONResponse:
        return _done(snapshots.names(catalogue.get(name).name))

    @app.post("/collections/{name}/snapshots")
    def create(name: str) -> JSONResponse:
        return _done(snapshots.create(catalogue.get(name)))

    @app.get("/collections/{name}/snapshots/{snapshot}")
    def download(name: str, snapshot: str) -> FileResponse:
        return FileResponse(snapshots.path(name, snapshot), filename=snapshot)

    @app.delete("/collections/{name}/snapshots/{snapshot}")
    def delete(name: str, snapshot: str) -> JSONResponse:
        snapshots.delete(name, snapshot)
        return _done(result=True)

    @app.post("/collections/{name}/snapshots/upload")
    def upload(name: str, snapshot: UploadFile, checksum: str | None = None) -> JSONResponse:
        with tempfile.NamedTemporaryFile(suffix=".snapshot") as file:
            shutil.copyfileobj(snapshot.file, file)
            file.flush()
            verify(Path(file.name), checksum)
            catalogue.recover(name, Path(file.name))
        return _done(result=True)
