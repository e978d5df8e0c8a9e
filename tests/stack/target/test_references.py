"""References between the stack's stores; phase 4 and `./run faults` follow those of its profile, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from app import canary
from app.identity import vector_collection

from rollproof.engines.engine import ContainerEngine
from rollproof.errors import Unverifiable, UsageProblem
from rollproof.profile.profile import Target
from rollproof.profile.sections import NamePlace, Reference
from rollproof.redaction.personal import Personal
from rollproof.stores.reader import Reader
from rollproof.stores.references import follow, require_whole
from rollproof.stores.registry import open_reader
from rollproof.system.side_by_side import Opened
from staging.target.operators import Operators
from tests.stack import damage

CHUNKS = vector_collection(canary.KNOWLEDGE_BASE)
OF_CANARY = {"knowledge_db_id": canary.KNOWLEDGE_BASE}
Open = Callable[[str], Reader]
NOBODY = Personal(())


def reference(referencing: str, referenced: str, **where: str) -> Reference:
    """Make a reference of two places, each ``store/collection/field,field``."""
    of, to = (
        NamePlace(store=store, collection=collection, fields=tuple(fields.split(",")))
        for store, collection, fields in (text.split("/") for text in (referencing, referenced))
    )
    return Reference(referencing=of, referenced=to, where=where)


@pytest.fixture
def open_store(target: Target, engine: ContainerEngine) -> Iterator[Open]:
    with Opened(lambda name: open_reader(name, target.stores[name], engine)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("referencing", "referenced"),
    [
        ("minio/minio-file/key", "mongodb/mongodb.files/minio_filename"),
        ("mysql/imagedb.documents/file_id,knowledge_base_id", "qdrant/files/file_id,knowledge_base_id"),
        ("qdrant/files/file_id,filename", "mysql/imagedb.documents/file_id,filename"),
    ],
)
def test_names_are_read_of_stores_that_the_profiles_own_references_do_not_ask_so(
    open_store: Open, referencing: str, referenced: str
) -> None:
    assert require_whole(reference(referencing, referenced), open_store, NOBODY) > 0


def test_some_records_are_chosen(open_store: Open) -> None:
    pages = reference("mongodb/mongodb.files/images.images_id", f"milvus/{CHUNKS}/image_id", **OF_CANARY)
    rows = reference(
        "mysql/imagedb.users/username", "mongodb/mongodb.model_config/username", username="canary"
    )
    points = reference(
        "qdrant/files/file_id", "mongodb/mongodb.files/file_id", knowledge_base_id=canary.KNOWLEDGE_BASE
    )
    milvus = open_store("milvus")
    (name, *_) = milvus.names(CHUNKS, ["file_id"], {})
    assert name is not None
    entities = reference(
        f"milvus/{CHUNKS}/image_id", "mongodb/mongodb.files/images.images_id", file_id=name[0]
    )
    files = [require_whole(each, open_store, NOBODY) for each in (pages, rows, points, entities)]
    assert files == [4, 1, 4, 1]


def test_names_that_are_there_and_not_together_are_dangling(open_store: Open, operators: Operators) -> None:
    """Each file and each page is there: the pages are those of another file."""
    with damage.pages_swapped(operators, canary.KNOWLEDGE_BASE, canary.ANSWER_FILE, "tides.txt"):
        found = follow(
            reference(f"milvus/{CHUNKS}/file_id,image_id", "mongodb/mongodb.files/file_id,images.images_id"),
            open_store,
        )
    assert found.dangling == 2
    assert found.records == 4


@pytest.mark.parametrize(
    "referencing",
    [
        "mysql/imagedb.no_such/id",
        "mysql/imagedb.users/no_such",
        "milvus/no_such/pk",
        "qdrant/no_such/file_id",
        "minio/no-such/key",
    ],
)
def test_a_place_that_is_not_there_is_unverifiable(open_store: Open, referencing: str) -> None:
    with pytest.raises(Unverifiable):
        require_whole(reference(referencing, "mongodb/mongodb.files/file_id"), open_store, NOBODY)


def test_a_store_whose_records_hold_no_names_is_a_usage_error(open_store: Open) -> None:
    with pytest.raises(UsageProblem, match="expected a store whose records can name others"):
        require_whole(
            reference("kafka/task_generation/key", "mongodb/mongodb.files/file_id"), open_store, NOBODY
        )
