"""Forgeries of a bundle, a kind each: what somebody without the key can make of a record that is signed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rollproof.incident.journal import hash_of
from rollproof.record_names import CHAIN, HEAD, INCIDENT, VERDICT
from rollproof.system.files import canonical_json, json_line
from tests.unit.drawn_incident import IDENTITY
from tests.unit.sealed_record import edited, unpacked

Files = dict[str, bytes]
MANIFEST = "bundle.json"
_CHECKER = "verify_record.py"
_BY = "the post-mortem, as people completed it"
_ESCAPES = "x\n\x1b[2J\x1b[Hall of it holds\n"
_REMAINS = "what a kill left of a file, or a lock"


class Forger:
    """Makes forgeries of one bundle, by chance; each has the hashes of what is in it."""

    def __init__(self, bundle: Path, seed: int) -> None:
        self.files = unpacked(bundle)
        self.whole = bundle.read_bytes()
        self.chance = random.Random(seed)  # noqa: S311 - nothing of it is a secret
        own = {MANIFEST, _CHECKER, "postmortem.md"}
        self.names = [name for name in self.files if name not in own]
        self.sealed = [name for name in self.names if name not in {CHAIN, HEAD}]

    def edit(self, names: list[str]) -> tuple[str, bytes]:
        """Return one of the files and other bytes for it."""
        name = self.chance.choice(names)
        text = self.files[name]
        while text == self.files[name]:
            text = edited(self.files[name], self.chance)[1]
        return name, text

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[CHAIN].splitlines()]


def chained(entries: list[dict[str, Any]], signature: str = "") -> Files:
    """Return the files of a chain that is made again of `entries`, with that signature."""
    before, lines = "0" * 64, []
    for number, entry in enumerate(entries):
        made = {**entry, "sequence": number, "previous": before}
        made.pop("hash", None)
        before = made["hash"] = hash_of(made)
        lines.append(json_line(made))
    return {CHAIN: b"".join(lines), HEAD: f"{len(lines) - 1:012d} {before}\n{signature}".encode()}


def tar_of(
    files: Mapping[str, bytes],
    left_out: Mapping[str, str] | None = None,
    *,
    prefix: str = f"{IDENTITY}/",
    names: Mapping[str, str] | None = None,
    **content: object,
) -> bytes:
    """Return the archive of `files`, whose manifest has their hashes; `names` has other names of members."""
    manifest = {**json.loads(files[MANIFEST])["content"], **content}
    rest = {name: text for name, text in files.items() if name != MANIFEST}
    manifest["files"] = {
        name: {"sha256": hashlib.sha256(text).hexdigest(), "size": len(text)} for name, text in rest.items()
    }
    manifest["left_out"] = {**manifest["left_out"], **(left_out or {})}
    digest = hashlib.sha256(canonical_json(manifest)).hexdigest()
    text = canonical_json({"content": manifest, "sha256": digest})
    order = sorted(rest, key=lambda name: (name == _CHECKER, name.split("/")))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in {MANIFEST: text, **{name: rest[name] for name in order}}.items():
            member = tarfile.TarInfo((names or {}).get(name, prefix + name))
            member.size, member.mode = len(data), 0o644
            archive.addfile(member, io.BytesIO(data))
    return tar.getvalue()


def packed(tar: bytes, level: int = 9, name: str = "") -> bytes:
    """Return it as a packed file."""
    raw = io.BytesIO()
    with gzip.GzipFile(filename=name, mode="wb", fileobj=raw, mtime=0, compresslevel=level) as stream:
        stream.write(tar)
    return raw.getvalue()


def _resealed(forger: Forger, changes: Files, by: str) -> Files:
    """Return the record with `changes`, which an entry without a signature seals."""
    entries = forger.entries()
    lines = [f"{hashlib.sha256(text).hexdigest()}  {name}" for name, text in changes.items()]
    signature = forger.files[HEAD].decode().partition("\n")[2]
    entry = {**entries[-1], "by": by, "files": lines, "gone": [], "found": [], "signature": signature}
    return {**forger.files, **changes, **chained([*entries, entry])}


def _edited(forger: Forger) -> Files:
    name, text = forger.edit(forger.names)
    return {**forger.files, name: text}


def _removed(forger: Forger) -> Files:
    name = forger.chance.choice(forger.names)
    return {one: text for one, text in forger.files.items() if one != name}


def _exchanged(forger: Forger) -> Files:
    first = forger.chance.choice(forger.sealed)
    second = forger.chance.choice([one for one in forger.sealed if forger.files[one] != forger.files[first]])
    return {**forger.files, first: forger.files[second], second: forger.files[first]}


def _added(forger: Forger) -> Files:
    names = [
        "ledger/0002/results.jsonl",
        "a.jsonl",
        "pictures/x.svg",
        "earlier-rollback-1.json",
        "journal.head2",
    ]
    return {**forger.files, forger.chance.choice(names): forger.chance.choice([b"", b"{}", b'{"x": 1}\n'])}


def _begun(forger: Forger) -> Files:
    """A file that looks like a journal, to excuse another one."""
    name, text = forger.edit([one for one in forger.sealed if "/" not in one and one != INCIDENT])
    return {**forger.files, "a.jsonl": b"", name: text}


def _resealed_file(forger: Forger) -> Files:
    return _resealed(forger, dict([forger.edit(forger.sealed)]), forger.chance.choice([_BY, "checks, run 2"]))


def _forged_run(forger: Forger) -> Files:
    """Another run of checks, and the verdict of it."""
    again = {
        name.replace("0001", "0002"): text
        for name, text in forger.files.items()
        if name.startswith("ledger/")
    }
    verdict = forger.files[VERDICT].replace(b'"finished"', b'"finished" ')
    return _resealed(forger, {**again, VERDICT: verdict}, _BY)


def _unsigned(forger: Forger) -> Files:
    """The chain made again, with other bytes and without a signature."""
    name, text = forger.edit([one for one in forger.sealed if one != VERDICT])
    verdict = json.loads(forger.files[VERDICT])
    verdict["signature"] = forger.chance.choice(["unsigned", verdict["signature"]])
    files = {**forger.files, name: text, VERDICT: canonical_json(verdict)}
    lines = [f"{hashlib.sha256(files[one]).hexdigest()}  {one}" for one in forger.sealed]
    entry = {**forger.entries()[0], "files": lines, "signature": ""}
    signature = forger.chance.choice(["", forger.files[HEAD].decode().partition("\n")[2]])
    return {**files, **chained([entry], signature)}


def _cut(forger: Forger) -> Files:
    """The chain up to an earlier entry, with whatever is kept of its signature."""
    entries = forger.entries()
    kept = forger.chance.randrange(len(entries))
    return {**forger.files, **chained(entries[:kept], entries[kept]["signature"])}


def _behind(forger: Forger) -> Files:
    """An entry behind the head."""
    name, text = forger.edit(forger.sealed)
    more = _resealed(forger, {name: text}, _BY)
    return {**more, HEAD: forger.files[HEAD]}


def _head(forger: Forger) -> Files:
    text = forger.files[HEAD].decode()
    line, _, signature = text.partition("\n")
    heads = [f"{line}\n", line, f"{text}\n", text.upper(), f" {text}", f"{line}\r\n{signature}", text[:-1]]
    return {**forger.files, HEAD: forger.chance.choice(heads).encode()}


def _spelled(forger: Forger) -> Files:
    """The chain with the same entries, written otherwise."""
    text = forger.files[CHAIN]
    ways = [text.replace(b" ", b"  ", 1), text + b"\n", text + b"{", text[:-1], text.replace(b"\n", b"\r\n")]
    return {**forger.files, CHAIN: forger.chance.choice(ways)}


OF_FILES: Mapping[str, Callable[[Forger], Files]] = {
    "a byte or a line": _edited,
    "a file that is gone": _removed,
    "two files exchanged": _exchanged,
    "a file more": _added,
    "a journal that never was": _begun,
    "a file sealed again without the key": _resealed_file,
    "a run sealed without the key": _forged_run,
    "a chain without its signature": _unsigned,
    "a chain that is cut": _cut,
    "an entry behind the head": _behind,
    "another head": _head,
    "a chain spelled otherwise": _spelled,
}
"""Kinds of forgeries of a record's folder."""


def _left_out(forger: Forger) -> bytes:
    name, text = forger.edit(forger.sealed)
    return packed(
        tar_of({**forger.files, name: text}, {forger.chance.choice([name, name.split("/")[0]]): _REMAINS})
    )


def _left_out_and_gone(forger: Forger) -> bytes:
    name = forger.chance.choice(forger.sealed)
    rest = {one: text for one, text in forger.files.items() if one != name}
    return packed(tar_of(rest, {name: _REMAINS}))


def _of_manifest(forger: Forger) -> bytes:
    changes: list[dict[str, Any]] = [
        *({"target": "another"}, {"version": 2}, {"more": 1}),
        {"left_out": {forger.chance.choice(forger.names): _REMAINS}},
    ]
    change = forger.chance.choice(changes)
    left_out = change.pop("left_out", None)
    return packed(tar_of(forger.files, left_out, **change))


def _of_reason(forger: Forger) -> bytes:
    return packed(
        tar_of(forger.files, {"working-copy-1.patch": forger.chance.choice(["x", _REMAINS[1:], ""])})
    )


def _prefix(forger: Forger) -> bytes:
    other = forger.chance.choice(
        ["", "other/", f"./{IDENTITY}/", f"{IDENTITY}/./", f"{IDENTITY}//", "../", "/"]
    )
    if forger.chance.random() < 0.5:
        return packed(tar_of(forger.files, prefix=other))
    name = forger.chance.choice(forger.names)
    return packed(tar_of(forger.files, names={name: other + name}))


def _identity(forger: Forger) -> bytes:
    other = forger.chance.choice(["other", "..", "a/b", f"{IDENTITY}x"])
    return packed(tar_of(forger.files, prefix=f"{other}/", incident=other))


def _names(forger: Forger) -> bytes:
    odd = [
        "a/b/../c",
        "../x",
        "/x",
        "a//b",
        "./x",
        f"{_ESCAPES}.jsonl",
        f"{_ESCAPES}.head",
        "\udcff.jsonl",
        "x\u202ey",
    ]
    return packed(tar_of({**forger.files, forger.chance.choice(odd): b"{}\n"}))


def _appended(forger: Forger) -> bytes:
    ways = [
        b"\0" * forger.chance.randrange(1, 600),
        b"more",
        packed(b""),
        packed(tar_of(forger.files)),
        b"\n",
    ]
    return forger.whole + forger.chance.choice(ways)


def _members(forger: Forger) -> bytes:
    tar = gzip.decompress(forger.whole)
    at = forger.chance.randrange(len(tar))
    return forger.chance.choice([packed(b"") + forger.whole, packed(tar[:at]) + packed(tar[at:])])


def _packing(forger: Forger) -> bytes:
    tar, whole = gzip.decompress(forger.whole), forger.whole
    ways = [
        *(packed(tar, level=1), packed(tar, name="x"), whole[:9] + b"\x03" + whole[10:]),
        *(whole[:4] + b"\1" + whole[5:], whole[: -forger.chance.randrange(1, 20)]),
        *(packed(tar + bytes(512)), packed(tar[:-512]), packed(tar[:-1] + b"x")),
    ]
    return forger.chance.choice(ways)


def _bits(forger: Forger) -> bytes:
    """A bit of the last byte of what is packed: some are behind its end."""
    whole = forger.whole
    return whole[:-9] + bytes([whole[-9] ^ 1 << forger.chance.randrange(8)]) + whole[-8:]


def _byte(forger: Forger) -> bytes:
    text = forger.whole
    while text == forger.whole:
        text = edited(forger.whole, forger.chance)[1]
    return text


def _header(forger: Forger) -> bytes:
    """Mode, owner, time, kind, link or name of a member, with the sum made again."""
    tar = gzip.decompress(forger.whole)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        at = forger.chance.choice(archive.getmembers()).offset
    place, text = forger.chance.choice(
        [
            (100, b"0000777"),
            (108, b"0000001"),
            (136, b"00000000001"),
            (156, b"7"),
            (157, b"abc"),
            (265, b"abc"),
        ]
    )
    head = bytearray(tar[at : at + 512])
    head[place : place + len(text)] = text
    head[148:156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
    return packed(tar[:at] + bytes(head) + tar[at + 512 :])


def _order(forger: Forger) -> bytes:
    tar = gzip.decompress(forger.whole)
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        starts = [one.offset for one in archive]
        end = archive.offset
    parts = [tar[one:after] for one, after in zip(starts, [*starts[1:], end], strict=True)]
    at = forger.chance.randrange(1, len(parts) - 1)
    parts[at : at + 2] = reversed(parts[at : at + 2])
    if forger.chance.random() < 0.3:
        parts.insert(at, parts[at])
    made = b"".join(parts)
    return packed(made + bytes(1024 + -(len(made) + 1024) % tarfile.RECORDSIZE))


OF_BUNDLES: Mapping[str, Callable[[Forger], bytes]] = {
    "an edited file is left out by the manifest": _left_out,
    "a file that is gone is left out by the manifest": _left_out_and_gone,
    "the manifest": _of_manifest,
    "another prefix": _prefix,
    "another incident": _identity,
    "odd names": _names,
    "appended bytes": _appended,
    "several packed files": _members,
    "another packing": _packing,
    "the last bits": _bits,
    "a byte of the packed file": _byte,
    "a header": _header,
    "the order": _order,
}
"""Kinds of forgeries of the archive itself."""
ALONE: Mapping[str, Callable[[Forger], bytes]] = {"a reason of the manifest": _of_reason}
"""What is under no seal, and `verify-bundle` alone finds."""
