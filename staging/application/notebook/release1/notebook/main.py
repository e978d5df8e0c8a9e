"""The web application: `uvicorn notebook.main:app`."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, UploadFile
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field, SecretStr

from notebook import VERSION, accounts
from notebook.embedding import embed
from notebook.stores import JOBS, postgresql, remove_files, rows, store_file, valkey, words


class Person(BaseModel):
    """A name and a password."""

    name: str = Field(pattern=r"^\w{1,50}$")
    password: SecretStr


class Note(BaseModel):
    """A note that is typed."""

    title: str = Field(min_length=1, max_length=200)
    body: str


Text = Annotated[str, Body(embed=True)]
Bearer = Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]


def _user(bearer: Bearer) -> str:
    if name := valkey().get(f"session:{bearer.credentials}"):
        return str(name)
    raise HTTPException(401, "No such session")


User = Annotated[str, Depends(_user)]


def _notebook(notebook: int, user: User) -> int:
    if notebook in [own["id"] for own in notebooks(user, user)]:
        return notebook
    raise HTTPException(404, "No such notebook")


Own = Annotated[int, Depends(_notebook)]

api = APIRouter(prefix="/api")


@api.get("/health")
def health() -> dict[str, str]:
    """Say UP once the database and the sessions answer."""
    rows("SELECT 1")
    valkey().ping()
    return {"status": "UP"}


@api.post("/accounts", status_code=201)
def sign_up(person: Person) -> dict[str, str]:
    """Create an account."""
    if not accounts.sign_up(person.name, person.password.get_secret_value()):
        raise HTTPException(409, "Name is taken")
    return {"name": person.name}


@api.post("/sessions", status_code=201)
def log_in(person: Person) -> dict[str, str]:
    """Exchange a name and a password for a token."""
    if token := accounts.log_in(person.name, person.password.get_secret_value()):
        return {"token": token}
    raise HTTPException(401, "Wrong name or password")


@api.get("/sessions/current")
def session(user: User) -> dict[str, str]:
    """Say whose session it is."""
    return {"name": user}


@api.delete("/sessions/current", status_code=204)
def log_out(bearer: Bearer) -> None:
    """End the session."""
    valkey().delete(f"session:{bearer.credentials}")


@api.get("/accounts/{name}/notebooks")
def notebooks(name: str, user: User) -> list[dict[str, object]]:
    """List the user's own notebooks."""
    if name != user:
        raise HTTPException(403, "Not yours")
    own = "SELECT n.id, title FROM notebooks AS n JOIN accounts AS a ON a.id = account_id WHERE name = %s"
    return [{"id": id_, "title": title} for id_, title in rows(own, user)]


@api.post("/notebooks", status_code=201)
def create_notebook(title: Text, user: User) -> dict[str, int]:
    """Create a notebook."""
    ((owner,),) = rows("SELECT id FROM accounts WHERE name = %s", user)
    made = "INSERT INTO notebooks (account_id, title) VALUES (%s, %s) RETURNING id"
    return {"id": rows(made, owner, title)[0][0]}


@api.delete("/notebooks/{notebook}", status_code=204)
def delete_notebook(notebook: Own) -> None:
    """Delete a notebook with its notes and files."""
    attached = rows("SELECT id::text FROM attachments WHERE notebook_id = %s", notebook)
    rows("DELETE FROM notebooks WHERE id = %s", notebook)
    remove_files([id_ for (id_,) in attached])


@api.get("/notebooks/{notebook}/notes")
def notes(notebook: Own) -> list[dict[str, object]]:
    """List the notes of a notebook."""
    found = rows("SELECT id, title FROM notes WHERE notebook_id = %s ORDER BY id", notebook)
    return [{"id": id_, "title": title} for id_, title in found]


@api.post("/notebooks/{notebook}/notes", status_code=201)
def write_note(notebook: Own, note: Note) -> dict[str, int]:
    """Write a note."""
    made = "INSERT INTO notes (notebook_id, title, body, embedding) VALUES (%s, %s, %s, %s) RETURNING id"
    return {"id": rows(made, notebook, note.title, note.body, embed(f"{note.title} {note.body}"))[0][0]}


@api.post("/notebooks/{notebook}/attachments", status_code=202)
def upload(notebook: Own, file: UploadFile) -> dict[str, str]:
    """Take a file; the worker makes a note of it."""
    made = "INSERT INTO attachments (notebook_id, name) VALUES (%s, %s) RETURNING id::text"
    with postgresql() as connection:
        ((attachment,),) = connection.execute(made, (notebook, file.filename)).fetchall()
        store_file(attachment, file.file.read())
    valkey().xadd(JOBS, {"attachment": attachment})
    return {"id": attachment}


@api.get("/notebooks/{notebook}/files")
def search_files(notebook: Own, word: str) -> list[str]:
    """List the files that hold a word."""
    quoted = '"' + word.replace('"', '""') + '"'
    with words() as index:
        asked = "SELECT attachment FROM words WHERE words MATCH ? AND notebook = ?"
        found = [id_ for (id_,) in index.execute(asked, (quoted, notebook))]
    named = "SELECT name FROM attachments WHERE id = ANY(%s::uuid[]) ORDER BY name"
    return [name for (name,) in rows(named, found)]


@api.post("/notebooks/{notebook}/questions")
def ask(notebook: Own, question: Text) -> dict[str, object]:
    """Answer with the notes that are nearest to the question."""
    nearest = "SELECT title, body FROM notes WHERE notebook_id = %s ORDER BY embedding <=> %s::vector LIMIT 3"
    found = rows(nearest, notebook, embed(question))
    return {"answer": found[0][1] if found else "", "sources": [title for title, _ in found]}


app = FastAPI(title="Notebook", version=VERSION)
app.include_router(api)
