"""`/config`: the models that a user chats with, and the knowledge bases that each may use."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from app import library
from app.access import Refusal, User, require_owner
from app.identity import new_id

router = APIRouter(prefix="/config")

Username = Annotated[str, Path(max_length=50)]


class BaseUsed(BaseModel):
    """A knowledge base that a model may use."""

    name: str
    baseId: str  # noqa: N815 -- the API's own name


class ModelSettings(BaseModel):
    """How a chat's answers are made. Answers here are extracts: the sampling fields are kept, not used."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str = ""
    model_name: str = "extractive"
    model_url: str = ""
    api_key: str = ""
    base_used: list[BaseUsed] = Field(default_factory=list)
    system_prompt: str = ""
    temperature: float = -1
    max_length: int = -1
    top_P: float = -1  # noqa: N815 -- the API's own name
    top_K: int = -1  # noqa: N815 -- the API's own name
    score_threshold: int = -1


class Selection(BaseModel):
    """Body that selects a model."""

    model_config = ConfigDict(protected_namespaces=())

    model_id: str


@router.post("/{username}", status_code=201)
def add_model(username: Username, body: ModelSettings, user: User) -> dict[str, str]:
    """Add a model to a user's settings."""
    settings = _settings(username, user)
    if any(model["model_id"] == body.model_id for model in settings["models"]):
        raise Refusal(409, "Model ID already exists")
    model = body.model_copy(update={"model_id": body.model_id or new_id(username)})
    settings["models"].append(model.model_dump())
    library.save_model_config(settings)
    return {"status": "success", "username": username, "model_id": model.model_id}


@router.get("/{username}/all")
def all_models(username: Username, user: User) -> dict[str, Any]:
    """Return all models of a user, and which is selected."""
    settings = _settings(username, user)
    return {"status": "success", "models": settings["models"], "selected_model": settings["selected_model"]}


@router.get("/{username}/selected")
def selected_model(username: Username, user: User) -> dict[str, Any]:
    """Return the selected model of a user."""
    settings = _settings(username, user)
    found = [model for model in settings["models"] if model["model_id"] == settings["selected_model"]]
    if not found:
        raise Refusal(404, "Selected model not found")
    return {"status": "success", "select_model_config": found[0]}


@router.put("/{username}/select-model")
def select_model(username: Username, body: Selection, user: User) -> dict[str, str]:
    """Select one of a user's models."""
    settings = _settings(username, user)
    if all(model["model_id"] != body.model_id for model in settings["models"]):
        raise Refusal(404, "Model ID not found")
    library.save_model_config({**settings, "selected_model": body.model_id})
    return {"status": "success", "username": username, "model_id": body.model_id}


def _settings(username: str, user: str) -> dict[str, Any]:
    require_owner(user, username)
    settings = library.model_config(username)
    if settings is None:
        raise Refusal(404, "User not found")
    return settings
