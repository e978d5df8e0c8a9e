"""Check the bundle of an incident, and derive its verdict again: python verify_record.py BUNDLE [SIGNERS].

It stands alone, on Python 3.11. Exit 0: all of it holds. 1: something does not. 3: what is sealed holds, and
something is not, or was not checked. Who signed is named, and must be in SIGNERS, see ssh-keygen(1), if any.
"""

import base64
import contextlib
import json
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

PHASES, STEPS = ("phase1", "phase2", "phase3", "phase4"), ("step1", "step2", "step3", "step4", "step5")
RANK, ENDS = {"passed": 0, "blocked": 1, "broken": 2, "failed": 3}, ("passed", "broken", "broken", "failed")
CHAIN, HEAD, HEAD_LINE, SELF = "chain.jsonl", "chain.head", "{sequence:012d} {hash}", "verify_record.py"
FINAL = re.compile(r"incident\.json|ledger/.*|earlier-rollback-.*|[^/]*-broken-.*|lost-window.*")
CHAINED = ("journal.jsonl", "response.jsonl", "contacts.jsonl", "reopening.jsonl")
JOURNAL = re.compile(rf"{'|'.join(map(re.escape, CHAINED))}|assessed\.jsonl|samples\.jsonl")
BEGUN = re.compile(rf"ledger/.*/run\.json|superseded\.json|{JOURNAL.pattern}")
READ = re.compile(r"[^/]*\.(json|jsonl|head)|ledger/.*|allure-results/.*-result\.json|journal-end\.txt")
KEPT_ASIDE, PEOPLE, RESULTS = ("lost-window", "working-copy", "untracked"), "postmortem.md", "allure-results/"
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"
PACKED, BLOCK, MANIFEST = b"\x1f\x8b\x08\0\0\0\0\0\x02\xff", tarfile.BLOCKSIZE, "bundle.json"
# Anybody may have made the bundle: it gets no more memory than an honest one needs.
CHUNK, LARGEST, MEMORY, SHOWN, FIELDS = 1024**2, 8 * 1024**2, 160 * 1024**2, 10, 5


def canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return f"{text}\n".encode("utf-8", "replace")


def seconds(later: Any, earlier: Any) -> float:
    if later["boot"] and later["boot"] == earlier["boot"]:
        return float(later["since_boot"] - earlier["since_boot"])
    return (datetime.fromisoformat(later["wall"]) - datetime.fromisoformat(earlier["wall"])).total_seconds()


class Record:
    """The hashes of a bundle's files, those that are read, what is wrong, and what is not sealed."""

    def __init__(self, path: str, signers: str = "") -> None:
        self.path, self.signers, self.id, self.left_out = Path(path), signers, "", set[str]()
        self.hashes, self.files = dict[str, str](), dict[str, bytes]()
        self.wrong, self.open, self.said = list[str](), list[str](), list[str]()

    def read(self, name: str) -> bytes:
        if name in self.hashes and name not in self.files:
            raise ValueError(f"{name!a:.80} cannot be read: it has more than {LARGEST:,} bytes")
        return self.files.get(name, b"")

    def json(self, name: str) -> Any:
        return json.loads(self.read(name)) if name in self.hashes else None

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.read(name).rpartition(b"\n")[0].splitlines()]

    def chained(self, name: str) -> list[Any]:
        own, found = "0" * 64, self.lines(name)
        for number, one in enumerate(found):
            before, own = own, sha256(canonical({it: one[it] for it in one if it != "hash"})).hexdigest()
            if one != {**one, "hash": own, "previous": before, "sequence": number}:
                raise ValueError(f"the chain of {name} breaks at record {number}")
        if not {*self.read(f"{name[:-6]}.head").decode().split()[1:2]} <= {one["hash"] for one in found}:
            raise ValueError(f"{name} was cut: its head has another end")
        return found

    def unpack(self, tar: IO[bytes]) -> None:
        inflate, size = zlib.decompressobj(31), self.path.stat().st_size
        with self.path.open("rb") as raw:
            wrong = (packed := raw.read(len(PACKED))) != PACKED
            while packed and not wrong:
                tar.write(inflate.decompress(packed, CHUNK))
                packed = inflate.unconsumed_tail or raw.read(min(CHUNK, size - 9 - raw.tell()))
                wrong = inflate.eof or tar.tell() > 64 * (CHUNK + size)
            last, other = raw.read(9), inflate.copy()
        tar.write(b"" if wrong else inflate.decompress(last))
        with contextlib.suppress(zlib.error):
            # The last byte, before sum and size: a bit that can be cleared is behind the end.
            other.decompress(bytes([last[0] - (1 << last[0].bit_length() >> 1)]) + last[1:])
            wrong |= other.eof and last[0] > 0
        if wrong or not inflate.eof or inflate.unused_data:
            raise ValueError("it is packed unlike a bundle, or is truncated, or has more behind it")

    def archive(self) -> Iterator[str]:
        """Read exactly the files of the manifest: every byte is what it has to be."""
        with tempfile.TemporaryFile() as tar:
            self.unpack(tar)
            tar.seek(0)
            text = tar.read(min(int(tar.read(BLOCK)[124:135], 8), LARGEST))
            content = json.loads(text)["content"]
            self.id, sizes = content["incident"], {one: of["size"] for one, of in content["files"].items()}
            tar.seek(0)
            sizes[MANIFEST] = len(text)
            cases = {*sizes, *("/".join(name.split("/", 2)[:n]) for name in sizes for n in (1, 2))}
            if len({name.casefold() for name in cases}) < len(cases):
                yield "two of its names are one, where case makes no difference"
            for name in sorted(sizes, key=lambda one: (one != MANIFEST, one == SELF, one.split("/"))):
                member, size = tarfile.TarInfo(f"{self.id}/{name}"), sizes[name]
                member.size, member.mode = size, 0o644
                header = bytes(-tar.tell() % BLOCK) + member.tobuf(tarfile.PAX_FORMAT)
                plain = member.name.isprintable() and not {"", ".", ".."} & {*member.name.split("/")}
                if not plain or "/" in self.id or tar.read(len(header)) != header:
                    raise ValueError(f"{name} is out of its place, or has a name that none has")
                hashed, data, end = sha256(), b"", tar.tell() + size
                while tar.tell() < end and (more := tar.read(min(end - tar.tell(), CHUNK))):
                    hashed.update(more)
                    data += more if READ.fullmatch(name) and size <= LARGEST else b""
                self.hashes[name] = hashed.hexdigest()
                self.files |= {name: data} if len(data) == size else {}
            if bytes(-(tar.tell() + 2 * BLOCK) % tarfile.RECORDSIZE + 2 * BLOCK) != tar.read(LARGEST):
                yield "something is behind its files"
        own, out = self.json("incident.json"), content["left_out"]
        files = {name: {"sha256": self.hashes[name], "size": sizes[name]} for name in content["files"]}
        content |= {"incident": own.get("id", self.id), "target": own["target"], "version": 1, "files": files}
        spelled = canonical({"content": content, "sha256": sha256(canonical(content)).hexdigest()})
        if len(content) != FIELDS or text != spelled:
            yield "bundle.json is of other files or another incident, or was changed"
        self.wrong += [f"bundle.json leaves out {name!a:.80}, and it is there" for name in cases & {*out}]
        self.left_out = {name for name in out if name.startswith(KEPT_ASIDE)}
        if self.hashes.pop(SELF, this := sha256(Path(__file__).read_bytes()).hexdigest()) != this:
            self.open.append(f"{SELF}, which is another one than this")

    def journal(self) -> Iterator[str]:
        records, *_ = map(self.chained, CHAINED)
        known = {str(one["sequence"]): [one["at"]["wall"], one["event"].split()[0]] for one in records}
        ends = [line.split(" ", 3) for line in self.read("journal-end.txt").decode().split("\n")]
        missing = [one[0] for one in ends if one[0].isdecimal() and known.get(one[0]) != one[1:3]]
        if missing and not any(one["event"] == "journal broken" for one in records):
            yield f"it was truncated or rewritten: journal-end.txt has another record {missing[0]:.80}"

    def chain(self) -> Iterator[str]:
        """Check every file against the chain, and the signature of its head."""
        entries, signature, sealed = self.chained(CHAIN), "", dict[str, str]()
        self.open += [] if entries else ["the whole record: it has no chain, which tells what was changed"]
        if entries or {CHAIN, HEAD} & self.hashes.keys():
            line, end, signature = self.read(HEAD).decode("ascii").partition("\n")
            spelled = "".join(f"{json.dumps(one, sort_keys=True, ensure_ascii=False)}\n" for one in entries)
            if (line, end, spelled.encode()) != (HEAD_LINE.format(**entries[-1]), "\n", self.files[CHAIN]):
                yield "it was cut, made again or spelled otherwise: its head has another end"
        for entry in entries:
            for sha, name in [(text[:64], text[66:]) for text in entry["files"]]:
                if FINAL.fullmatch(name) and sealed.get(name, sha) != sha:
                    yield f"{name!a:.80} was sealed twice, with other bytes"
                sealed[name] = sha
            for name in entry["gone"]:
                sealed.pop(name, None)
        new = self.hashes.keys() - sealed.keys() - {CHAIN, HEAD, MANIFEST}
        changed = {name for name, sha in sealed.items() if self.hashes.get(name) != sha}
        changed, grown = {name for name in changed if name.split("/")[0] not in self.left_out}, set[str]()
        for name in filter(JOURNAL.fullmatch, changed):
            for kept in [name, *(one for one in self.hashes if one.startswith(f"{name[:-6]}-broken-"))]:
                so_far = sha256()
                for text in self.read(kept).splitlines(keepends=True)[: LARGEST // 64]:
                    so_far.update(text)
                    grown |= {name} if so_far.hexdigest() == sealed[name] else set()
        begun = bool(grown) or any(BEGUN.fullmatch(name) for name in new)
        for name in sorted(changed):
            if name in {*grown, PEOPLE} or (begun and name not in CHAINED and not FINAL.fullmatch(name)):
                new.add(name)
            else:
                yield f"{name!a:.80} {'is not what' if name in self.hashes else 'is missing, and'} was sealed"
        self.open += [f"{name!a:.80}" for name in sorted(new)] if entries else []
        yield from self.signatures(entries, signature)

    def signatures(self, entries: list[Any], signature: str) -> Iterator[str]:
        """Check the last signature. Above it, without the key, only the post-mortem is completed."""
        each = [*(entry["signature"] for entry in entries[1:]), signature]
        covered = max((number for number, one in enumerate(each, 1) if one), default=0)
        key, said = (self.json("verdict.json") or {}).get("signature", "unsigned"), "unsigned"
        if not covered and (key != "unsigned" or self.signers):
            yield f"its signature does not hold: there is none, and the verdict says {key!a:.80}"
        if covered:
            end, above = entries[covered - 1], entries[covered:]
            said = self.signed(f"{HEAD_LINE.format(**end)}\n".encode(), each[covered - 1])
            if key not in {"unsigned", said.split()[-1]}:
                self.open.append(f"by {key!a:.80}, which verdict.json says")
            said += ", in an earlier form: it may be an earlier end" if end.get("version", 1) == 1 else ""
            said = f"unsigned since {above[0]['by']!a:.80}; before that {said}" if above else said
            if any(text[66:] != PEOPLE for it in above for text in it["gone"] + it["found"] + it["files"]):
                (self.wrong if self.signers else self.open).append("what is above the last signature")
        self.said.append(f"signature: {said}")

    def signed(self, line: bytes, signature: str) -> str:
        body = base64.b64encode(base64.b64decode(signature.removeprefix(BEGIN).removesuffix(END))).decode()
        if signature != BEGIN + re.sub("(.{1,70})", r"\1\n", body) + END:
            raise ValueError("its signature does not hold: it is spelled otherwise")
        steps, said = [["find-principals"], ["verify", "-I"]] if self.signers else [["check-novalidate"]], ""
        with tempfile.NamedTemporaryFile("w") as file:
            print(signature, end="", file=file, flush=True)
            by = ["-n", "rollproof", "-s", file.name, *(["-f", self.signers] if self.signers else [])]
            for step in steps:
                command = ["ssh-keygen", "-Y", *step, *said.splitlines()[:1], *by]
                ran = subprocess.run(command, input=line, capture_output=True, timeout=3, check=False)
                said = (ran.stderr if ran.returncode else ran.stdout).decode().strip()
                if ran.returncode:
                    raise ValueError(f"its signature does not hold: {said}")
        return said

    def runs(self) -> Iterator[tuple[int, Any, Any, dict[str, Any]]]:
        for number in sorted({int(name.split("/")[1]) for name in self.hashes if name.startswith("ledger/")}):
            lines = self.lines(f"ledger/{number:04d}/results.jsonl")
            results = {one["check"]: one for one in sorted(lines, key=lambda one: RANK[one["verdict"]])}
            facts, plan = (self.json(f"ledger/{number:04d}/{name}.json") for name in ("run", "plan"))
            yield number, facts, plan or {}, results

    def allure(self) -> Iterator[str]:
        """Compare the latest result of each check with the ledger: whether it passed."""
        latest, known = dict[str, Any](), dict[str, str]()
        for _, _, plan, results in self.runs():
            for check in [check for one in plan.values() for check in one["checks"]]:
                known[check] = results.get(check, {"verdict": "not reported"})["verdict"]
        for one in (self.json(it) for it in self.hashes if it.startswith(RESULTS) and READ.fullmatch(it)):
            check = next((label["value"] for label in one["labels"] if label["name"] == "nodeId"), "")
            latest[check] = max(latest.get(check, (0, "")), (one["start"], one["status"]))
        for check in sorted(latest.keys() & known.keys()):
            if (latest[check][1] == "passed") != (known[check] == "passed"):
                yield f"{check!a:.80} is {latest[check][1]!a:.80} by Allure, and {known[check]} by the ledger"

    def verdict(self) -> Iterator[str]:
        """Derive the verdict from the ledger, and compare it with the one that is recorded."""
        recorded, own, rollback = map(self.json, ("verdict.json", "incident.json", "rollback.json"))
        recorded, change, runs = recorded or {}, own.get("kind") == "change", list(self.runs())
        limits = [run[1]["limits"] for run in runs if run[1] and "windows" in run[1].get("limits", {})]
        phases = recorded.get("phases", {})
        windows = limits[-1]["windows"] if limits else {it: one["window"] for it, one in phases.items()}
        counted = [run for run in runs if run[1] and (not change or run[2])][-1 if change else 0 :]
        if not change:
            of_phases = [facts["started"] for _, facts, plan, _ in counted if plan.keys() & set(PHASES)]
            at, span = [own["started"], *of_phases][-1], max([end for _, end in windows.values()] or [600])
            near = [run for run in counted if abs(seconds(at, run[1]["started"])) <= span]
            counted = [run for run in near if not rollback or run[1]["zero"] == rollback["finished"]]
        late, oldest, every = False, 0, [rollback["verdict"]] if rollback else []
        every += ["broken"] if recorded.get("partial") or "unfinished.json" in self.hashes else []
        for name in STEPS if change else PHASES:
            run = next((one for one in reversed(counted) if name in one[2] and one[0] >= oldest), None)
            if run is None:
                every.append("broken")
                continue
            oldest, facts, planned, results = run[0], run[1], run[2][name], run[3]
            found = [results.get(one, {"verdict": "broken"})["verdict"] for one in planned["checks"]]
            every += found or ["broken"]
            if phases and phases.get(name, {}).get("checks") != {it: found.count(it) for it in RANK}:
                yield f"verdict.json counts otherwise in {name}"
            every += [] if planned.get("partial") is None and (change or facts["gated"]) else ["broken"]
            of_phase = [] if change else [one for one in results.values() if one["phase"] == name]
            begun = None if change else self.json(f"ledger/{oldest:04d}/begun-{name}.json")
            done = [one["finished"] for one in of_phase if one["verdict"] != "blocked"]
            late |= any(one["verdict"] == "blocked" and one.get("means") == "late" for one in of_phase)
            for end in [begun["at"], *done] if begun else []:
                late |= round(seconds(end, facts["zero"]), 1) > windows[name][1]
        derived = ENDS[max((RANK[one] for one in every), default=2)]
        down = self.json("downtime.json") if derived == "passed" else None
        if down and rollback and down["rollback"] == rollback["finished"]:
            late |= round(down["seconds"], 1) > down["objective"]
        derived = "failed" if late else derived
        self.said.append(f"verdict, derived again: {derived}{'' if recorded else '; none is recorded'}")
        told = self.id, own["target"], rollback and {it: rollback[it] for it in ("verdict", "seconds")}
        if recorded and (recorded["incident"], recorded["target"], recorded.get("rollback")) != told:
            yield "verdict.json is of another incident, or of another rollback"
        if recorded and recorded["verdict"] != derived:
            yield f"verdict.json says {recorded['verdict']!a:.80}, and the ledger says {derived}"


def main(arguments: list[str]) -> int:
    if len(arguments) not in {1, 2} or not Path(arguments[0]).is_file():
        print(__doc__)
        return 4
    record = Record(*arguments)
    for test in (record.archive, record.chain, record.journal, record.allure, record.verdict):
        try:
            record.wrong.extend(f"{test.__name__}: {text}" for text in test())
        except Exception as error:  # noqa: BLE001 - data of any shape, made by anybody
            unknown = isinstance(error, OSError | subprocess.TimeoutExpired) and not record.signers
            text = f"{test.__name__}: {type(error).__name__}: {str(error)!a:.200}"
            (record.open if unknown else record.wrong).append(text)
        if record.wrong and test == record.archive:
            break
    for title, found in (("WRONG: ", record.wrong), ("", record.said), ("not sealed: ", record.open)):
        for text in [*found[:SHOWN], *([f"{len(found) - SHOWN} more"] if len(found) > SHOWN else [])]:
            print(f"{title}{text}".encode("ascii", "backslashreplace").decode())
    code = 1 if record.wrong else 3 if record.open else 0
    print({0: "all of it holds", 1: "it does not hold", 3: "what is sealed holds; all was counted"}[code])
    return code


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    sys.exit(main(sys.argv[1:]))
