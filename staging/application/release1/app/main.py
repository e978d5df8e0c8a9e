"""The web application: `uvicorn app.main:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from app import VERSION, library
from app.access import Refusal
from app.routes import auth, base, chat, config, events

_PREFIX = "/api/v1"


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    # An index that cannot be built stops the application: better no service than one without its guarantees.
    await run_in_threadpool(library.build_indexes)
    yield


app = FastAPI(title="Document answers", version=VERSION, lifespan=_lifespan, openapi_url="/openapi.json")

health = APIRouter(prefix="/health")


@health.get("/check")
async def check() -> dict[str, str]:
    """Say UP. A constant, as in LAYRA: it tells that the process serves, and nothing of any store."""
    return {"status": "UP", "details": "All systems operational"}


for _router in (health, auth.router, base.router, config.router, chat.router, events.router):
    app.include_router(_router, prefix=_PREFIX)


@app.exception_handler(Refusal)
async def _refused(_: Request, refusal: Refusal) -> JSONResponse:
    return JSONResponse({"message": refusal.message}, refusal.status)


@app.exception_handler(Exception)
async def _failed(_request: Request, _error: Exception) -> JSONResponse:
    # The client learns that it failed; why is in the log, where the server writes the traceback.
    return JSONResponse({"message": "Internal server error"}, 500)
