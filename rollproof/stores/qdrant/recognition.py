"""The signs of Qdrant in a compose project, and where its keys are stated."""

from __future__ import annotations

from collections.abc import Mapping

from rollproof.stores.qdrant.descriptor import QdrantProfile
from rollproof.stores.reach import Reach
from rollproof.stores.recognising import READING, WRITING, Clues, Creation, Holder, Recognition, exchanged

_KEY, _READ_ONLY_KEY = "QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY"


def _guarded(clues: Clues) -> bool:
    return bool(clues.says(_KEY) or clues.secret_of(READING) or clues.secret_of(WRITING))


def _accounts(clues: Clues) -> dict[str, Holder]:
    """Return the holders of both keys; without one for reading, the reader has the operator's."""
    secret = clues.secret_of(WRITING)
    operator = Holder("", {"file": secret[1]} if secret else {"env": f"{clues.variable}_KEY"})
    if found := clues.secret_of(READING):
        reader = Holder("", {"file": found[1]})
    elif clues.says(_READ_ONLY_KEY):
        reader = Holder("", {"env": f"{clues.variable}_READ_ONLY_KEY"})
    else:
        reader = operator
    return {"reader": reader, "operator": operator}


def _greet(reach: Reach) -> str:
    """Return that its root names it."""
    said = exchanged(reach, b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", 4096)
    return "Qdrant" if b'"qdrant' in said else ""


def _create(_: QdrantProfile, __: Mapping[str, Holder]) -> Creation:
    return Creation(
        lines=(),
        fresh=(
            "Qdrant's keys are settings of the server: QDRANT__SERVICE__API_KEY for the operator "
            "and QDRANT__SERVICE__READ_ONLY_API_KEY for the reader, in `environment` of its "
            "service."
        ),
    )


RECOGNITION = Recognition(
    name="qdrant",
    images=("qdrant",),
    ports=(6333,),
    variables=("QDRANT__",),
    guarded=_guarded,
    accounts=_accounts,
    logins=(("the holder of the key", _READ_ONLY_KEY), ("the holder of the key", _KEY)),
    greet=_greet,
    create=_create,
)
