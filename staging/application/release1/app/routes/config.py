"""`/config`: the models that a user chats with, and the knowledge bases that each may use."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from app import library
from app.access import Refusal, User, require_owner

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


@router.get("/{username}/selected")
def selected_model(username: Username, user: User) -> dict[str, Any]:
    """Return the selected model of a user."""
    settings = _settings(username, user)
    found = [model for model in settings["models"] if model["model_id"] == settings["selected_model"]]
    if not found:
        raise Refusal(404, "Selected model not found")
    return {"status": "success", "select_model_config": found[0]}


def _settings(username: str, user: str) -> dict[str, Any]:
    require_owner(user, username)
    settings = library.model_config(username)
    if settings is None:
        raise Refusal(404, "User not found")
    return settings
