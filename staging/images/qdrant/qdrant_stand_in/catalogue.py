"""All collections and aliases on disk.

A collection is a folder `data/<unique>` that the link `collections/<name>` points to. A link is replaced in
one step, so a kill at any moment leaves each collection wholly old, wholly new or absent.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import threading
import urllib.parse
import uuid
from pathlib import Path

from .collection import Collection, describe
from .convert import Json
from .refusal import Refusal, unsupported, wrong_input

LONGEST_NAME = 255


class Catalogue:
    """The collections under `root`, open."""

    def __init__(self, root: Path) -> None:
        """Open every collection and remove the folders that no link points to."""
        self.links = root / "collections"
        self.data = root / "data"
        self.alias_file = root / "aliases.json"
        self.lock = threading.RLock()
        self.links.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(parents=True, exist_ok=True)
        folders = {link.resolve() for link in self.links.iterdir() if not link.name.startswith(".")}
        for folder in set(self.data.resolve().iterdir()) - folders:
            shutil.rmtree(folder)
        self.collections = {each.name: each for each in map(Collection, sorted(folders))}
        self.aliases: dict[str, str] = (
            json.loads(self.alias_file.read_text()) if self.alias_file.exists() else {}
        )

    def names(self) -> list[str]:
        """Return the collections' names in order."""
        with self.lock:
            return sorted(self.collections)

    def exists(self, name: str) -> bool:
        """Return whether `name` is a collection or an alias of one."""
        with self.lock:
            return self.aliases.get(name, name) in self.collections

    def get(self, name: str) -> Collection:
        """Return the collection of that name or alias, else refuse with 404."""
        with self.lock:
            found = self.collections.get(self.aliases.get(name, name))
        if found is None:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return found

    def create(self, name: str, request: Json) -> None:
        """Create an empty collection; one that exists already is refused with 409."""
        if not name or len(name) > LONGEST_NAME or name.startswith("."):
            raise Refusal(400, f"Wrong input: {name!r} is no name for a collection")
        with self.lock:
            if self.exists(name):
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            self._install(Collection.create(self._new_folder(), name, request))

    def delete(self, name: str) -> bool:
        """Delete a collection and its aliases; return whether there was one."""
        with self.lock:
            doomed = self.collections.pop(name, None)
            if doomed is None:
                return False
            self._link(name).unlink()
            self._save_aliases({alias: target for alias, target in self.aliases.items() if target != name})
            doomed.close()
            shutil.rmtree(doomed.folder)
            return True

    def recover(self, name: str, archive: Path) -> None:
        """Replace, or create, the collection by what `archive` holds; the old one stays if that is broken."""
        folder = self._new_folder()
        try:
            with wrong_input():
                folder.mkdir()
                with tarfile.open(archive) as content:
                    content.extractall(folder, filter="data")
                request = json.loads((folder / "collection.json").read_text())["request"]
                describe(folder, name, request)
                recovered = Collection(folder)
        except Refusal:
            shutil.rmtree(folder)
            raise
        with self.lock:
            self._install(recovered)

    def change_aliases(self, actions: list[Json]) -> None:
        """Apply Qdrant's alias actions, all or none."""
        with self.lock, wrong_input():
            aliases = dict(self.aliases)
            for action in actions:
                if "create_alias" in action:
                    wanted = action["create_alias"]
                    aliases[wanted["alias_name"]] = self.get(wanted["collection_name"]).name
                elif "delete_alias" in action:
                    aliases.pop(action["delete_alias"]["alias_name"], None)
                else:
                    raise unsupported(f"an alias action {sorted(action)}")
            self._save_aliases(aliases)

    def flush(self) -> None:
        """Flush every collection that changed."""
        with self.lock:
            present = list(self.collections.values())
        for collection in present:
            with collection.lock:
                if self.collections.get(collection.name) is collection:
                    collection.flush()

    def close(self) -> None:
        """Close every collection."""
        with self.lock:
            for collection in self.collections.values():
                collection.close()

    def _install(self, collection: Collection) -> None:
        """Point the name's link at the collection's folder, and remove what it pointed at before."""
        staged = self.links / f".{uuid.uuid4()}"
        staged.symlink_to(os.path.relpath(collection.folder, self.links))
        staged.rename(self._link(collection.name))
        replaced = self.collections.get(collection.name)
        self.collections[collection.name] = collection
        if replaced is not None:
            replaced.close()
            shutil.rmtree(replaced.folder)

    def _save_aliases(self, aliases: dict[str, str]) -> None:
        staged = self.alias_file.with_suffix(".new")
        with staged.open("w") as file:
            json.dump(aliases, file)
            file.flush()
            os.fsync(file.fileno())
        staged.rename(self.alias_file)
        self.aliases = aliases

    def _new_folder(self) -> Path:
        return self.data / str(uuid.uuid4())

    def _link(self, name: str) -> Path:
        return self.links / urllib.parse.quote(name, safe="")
