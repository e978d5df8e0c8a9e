"""Fill the empty stores: the canary, other accounts, notes and files. `python -m notebook.seed --scale 1`."""

import argparse
import random
import subprocess
import uuid

from notebook import accounts
from notebook.embedding import embed
from notebook.stores import postgresql, rows, secret, store_file, words

Note = tuple[int, str | None, str, str]
"""Its notebook, its file if it is of one, its title and its body."""

CANARY = "canary"
HANDBOOK = {
    "lamp.txt": "The keeper must wind the clockwork of the lamp every four hours, and note each winding.",
    "fog-signal.txt": "The signal sounds two blasts a minute. Compressed air is stored beneath the gallery.",
    "tides.txt": "Spring tides cover the landing stage. Supplies are carried ashore at low water.",
    "weather.txt": "Barometer, thermometer and wind are read at dawn. A falling barometer is telegraphed.",
}
_ACCOUNTS = 20
_NOTES, _FILES = 20_000, 500
_VERBS = ("found", "kept", "sold", "mended", "drew", "lost", "painted", "counted", "carried", "named")
_THINGS = ("otter", "kettle", "harbour", "violin", "ladder", "meadow", "lantern", "compass", "orchard")


def seed(scale: float) -> str:
    """Fill the stores; return a sentence about it."""
    chance = random.Random(7)  # noqa: S311 -- the same data each time
    accounts.sign_up(CANARY, secret("canary_password"))
    for number in range(_ACCOUNTS):
        accounts.sign_up(f"reader{number:02d}", uuid.UUID(int=chance.getrandbits(128)).hex)
    rows("INSERT INTO notebooks (account_id, title) SELECT id, 'Handbook' FROM accounts ORDER BY id")
    others = range(2, 2 + _ACCOUNTS)
    notes: list[Note] = [(1, None, title, body) for title, body in HANDBOOK.items()]
    for number in range(int(_NOTES * scale)):
        said = " ".join(chance.choice(kind) for _ in range(6) for kind in (_THINGS, _VERBS))
        title = f"What the {chance.choice(_THINGS)} club did in week {number}"
        notes.append((chance.choice(others), None, title, said))
    for number in range(int(_FILES * scale)):
        id_, text = str(uuid.UUID(int=chance.getrandbits(128))), " ".join(chance.choices(_THINGS, k=200))
        store_file(id_, text.encode())
        notes.append((chance.choice(others), id_, f"minutes-{number}.txt", text))
    with words() as index:
        found = [(text, id_, notebook) for notebook, id_, _, text in notes if id_]
        index.executemany("INSERT INTO words VALUES (?, ?, ?)", found)
    _write(notes)
    # Without statistics, a search of a small notebook goes by the index of vectors, which may miss.
    rows("ANALYZE notes")
    return f"{len(notes)} notes, {len(found)} of them of files"


def _write(notes: list[Note]) -> None:
    """Write attachments and notes in one transaction."""
    with postgresql() as connection, connection.cursor() as cursor:
        with cursor.copy("COPY attachments (id, notebook_id, name, progress) FROM STDIN") as copy:
            for notebook, attachment, title, _ in notes:
                if attachment:
                    copy.write_row((attachment, notebook, title, "taken in"))
        with cursor.copy(
            "COPY notes (notebook_id, attachment_id, title, body, embedding) FROM STDIN"
        ) as copy:
            for notebook, attachment, title, body in notes:
                copy.write_row((notebook, attachment, title, body, embed(f"{title} {body}")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=1.0)
    arguments = parser.parse_args()
    subprocess.run(["alembic", "upgrade", "head"], check=True)
    print(seed(arguments.scale))
