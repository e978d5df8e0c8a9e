"""The application under rehearsal: what it computes, and the repository that it is deployed from."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest
from app import canary, population
from app.chunking import STRIDE, WINDOW, chunk, sentences
from app.corpus import Document, load, pick, save
from app.identity import is_username, new_id, object_key, owner_of, point_id, stable_id, vector_collection
from app.jobs import Job, decode, encode
from app.passwords import hash_password, verify_password

from rollproof.errors import Problem
from staging.releases.release_repository import Releases, create_repository
from tests.conftest import ROOT

SALT = bytes(range(16))
DOCUMENTS = [
    Document(topic, f"{topic}.{number}.txt", f"{topic} {number} " * 50)
    for topic in ("alpha", "beta", "gamma", "delta")
    for number in range(40)
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    destination = tmp_path_factory.mktemp("repository") / "application"
    create_repository(destination)
    return destination


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", repository, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "identifier", ["ada_1b4e28ba-2fa1-41d2-883f-0016d3cca427", stable_id("ada", "file", 3), "ada_x_y", "ada"]
)
def test_the_owner_of_an_id_is_the_text_before_its_first_underscore(identifier: str) -> None:
    assert owner_of(identifier) == "ada"


@pytest.mark.parametrize("name", ["a_b", "a-b", "a b", "", "é", "a/b", 'a"b'])
def test_a_name_that_would_break_an_id_is_none(name: str) -> None:
    assert not is_username(name)


def test_ids_are_stable_where_they_must_be_and_fresh_elsewhere() -> None:
    assert stable_id("ada", "a", 1) == stable_id("ada", "a", 1) != stable_id("ada", "a", 2)
    assert stable_id("ada", "a") != stable_id("bob", "a")
    assert new_id("ada") != new_id("ada")
    assert owner_of(new_id("ada")) == "ada"


def test_names_in_the_stores_follow_from_ids() -> None:
    identifier = "ada_3ad08408-2f9a-5103-82a9-579282a0bbd7"
    assert vector_collection(identifier) == "colqwenada_3ad08408_2f9a_5103_82a9_579282a0bbd7"
    assert point_id(identifier) == "3ad08408-2f9a-5103-82a9-579282a0bbd7"
    assert object_key("ada", "my.notes.txt", "0" * 24) == f"ada_my.notes_{'0' * 24}.txt"


def test_chunks_overlap_and_lose_no_word() -> None:
    words = [f"word{number}" for number in range(200)]
    chunks = [piece.split() for piece in chunk("  \n".join(words))]
    assert [piece[0] for piece in chunks] == [words[STRIDE * number] for number in range(len(chunks))]
    assert all(len(piece) <= WINDOW for piece in chunks)
    assert {word for piece in chunks for word in piece} == set(words)
    assert not set(chunks[-1]) <= set(chunks[-2])
    assert chunk("") == chunk(" \n ") == []
    assert chunk("one") == ["one"]


def test_sentences_end_where_a_sentence_ends() -> None:
    assert sentences("One. Two? See app.main for three!") == ["One.", "Two?", "See app.main for three!"]


def test_a_password_is_verified_by_its_own_hash_only() -> None:
    stored = hash_password("secret", SALT)
    assert len(stored) <= 100
    assert verify_password("secret", stored)
    assert not verify_password("Secret", stored)
    assert stored != hash_password("secret", SALT[::-1])


@pytest.mark.parametrize("length", [0, 10, 50, 80])
def test_a_hash_that_was_cut_is_an_error_not_a_wrong_password(length: int) -> None:
    with pytest.raises(ValueError, match=r"hash|base64|padding"):
        verify_password("secret", hash_password("secret", SALT)[:length])


def test_a_corpus_is_kept_as_it_is_and_picked_evenly(tmp_path: Path) -> None:
    save(DOCUMENTS, tmp_path / "corpus")
    first = (tmp_path / "corpus").read_bytes()
    save(load(tmp_path / "corpus"), tmp_path / "corpus")
    assert load(tmp_path / "corpus") == DOCUMENTS
    assert (tmp_path / "corpus").read_bytes() == first
    assert pick(list(range(10)), 4) == [0, 2, 5, 7]
    assert pick([1, 2], 4) == [1, 2]


def test_a_job_survives_its_message_and_others_are_refused() -> None:
    job = Job("t", "ada", "ada_1", "ada_2", "a.txt", "key")
    assert decode(encode(job)) == job
    for message in (
        b"",
        b"[]",
        b"3",
        b"{}",
        b'{"type": "reindex", "version": 2}',
        b'{"type": "file_embedding"}',
    ):
        with pytest.raises(ValueError, match=r"message|Expecting"):
            decode(message)


@pytest.mark.parametrize(("scale", "users", "bases"), [(0.05, 25, 5), (1, 500, 5), (2.5, 1250, 13)])
def test_a_population_follows_from_its_scale(scale: float, users: int, bases: int) -> None:
    names = population.usernames(scale)
    assert len(names) == len(set(names)) == users
    assert all(is_username(name) for name in names)
    made = list(population.knowledge_bases(DOCUMENTS, scale))
    assert made == list(population.knowledge_bases(DOCUMENTS, scale))
    assert len(made) == len({base.knowledge_base_id for base in made}) == bases
    jobs = [file.job for base in made for file in base.files]
    for distinct in ({job.file_id for job in jobs}, {job.minio_filename for job in jobs}):
        assert len(distinct) == len(jobs)
    assert {owner_of(job.file_id) for job in jobs} == {base.username for base in made}
    assert made[0].knowledge_base_id == canary.KNOWLEDGE_BASE


def test_the_profile_asks_the_canary_what_it_knows() -> None:
    profile = tomllib.loads((ROOT / "targets" / "staging.toml").read_text(encoding="utf-8"))
    asked = profile["application"]["canary"]
    assert asked["user"] == canary.USERNAME == owner_of(canary.KNOWLEDGE_BASE)
    assert asked["knowledge_base"] == canary.KNOWLEDGE_BASE
    assert asked["question"] == canary.QUESTION
    assert asked["expected_file"] == canary.ANSWER_FILE
    assert [name for name, text in canary.FILES.items() if canary.ANSWER_WORDS in text] == [
        canary.ANSWER_FILE
    ]


def test_the_repository_has_the_same_commits_each_time(repository: Path, tmp_path: Path) -> None:
    again = create_repository(tmp_path / "again")
    assert again == create_repository(tmp_path / "again")
    assert again == Releases(
        git(repository, "rev-parse", "release-1"), git(repository, "rev-parse", "release-2")
    )


def test_the_work_tree_is_left_at_release_1(repository: Path) -> None:
    assert git(repository, "rev-parse", "HEAD") == git(repository, "rev-parse", "release-1")
    assert git(repository, "status", "--porcelain") == ""
    assert (repository / "app" / "__init__.py").read_text().strip().endswith('"1.0.0"')


def test_release_2_is_release_1_with_a_migration_that_its_code_knows_of(repository: Path) -> None:
    changed = git(repository, "diff", "--name-only", "release-1", "release-2").split()
    assert "app/migrations/consolidation.py" in changed
    assert "changes.patch" not in git(repository, "ls-tree", "-r", "--name-only", "release-2").split()
    assert "consolidation.upgrade" in git(repository, "show", "release-2:app/migrate.py")
    # What release 1's code and image are built from stays: its deployment takes a second.
    assert not {"requirements.lock", "Dockerfile", "app/corpus.py"}.intersection(changed)
    for path in ("app/accounts.py", "app/seed.py"):
        assert "hashed_password" not in git(repository, "show", f"release-2:{path}")


def test_files_of_another_origin_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(Problem, match="files of another origin"):
        create_repository(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_git_that_fails_is_told_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Problem, match=r"git init.*observed no git: "):
        create_repository(tmp_path / "application")
