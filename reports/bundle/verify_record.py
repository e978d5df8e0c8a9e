"""Check the bundle of an incident, and derive its verdict again: python verify_record.py BUNDLE [SIGNERS].

This file stands alone: Python 3.11, and no code of the suite that made the bundle. Exit 0: all of it holds.
1: something does not, and is named. 3: what is sealed holds, and something is not sealed. The signature must
be of a key in SIGNERS, see ssh-keygen(1); without that file, whoever signed is only named.
"""

import base64
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

PHASES, STEPS = ("phase1", "phase2", "phase3", "phase4"), ("step1", "step2", "step3", "step4", "step5")
RANK = {"passed": 0, "blocked": 1, "broken": 2, "failed": 3}
CHAIN, HEAD, HEAD_LINE, SELF = "chain.jsonl", "chain.head", "{sequence:012d} {hash}", "verify_record.py"
FINAL = re.compile(r"incident\.json|ledger/.*|earlier-rollback-.*|[^/]*-broken-.*|lost-window.*")
BEGUN = re.compile(r"ledger/.*/run\.json|superseded\.json|[^/]*\.jsonl")
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"


class Record:
    """The files of a bundle, what is wrong with them, and what is not sealed."""

    def __init__(self, path: str, signers: str = "") -> None:
        self.path, self.signers, self.id, self.left_out = Path(path), signers, "", list[str]()
        self.files, self.wrong = dict[str, bytes](), list[str]()
        self.open, self.said = list[str](), list[str]()

    def json(self, name: str) -> Any:
        return json.loads(self.files[name]) if name in self.files else None

    def lines(self, name: str) -> list[Any]:
        data = self.files.get(name, b"")
        return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]

    def chained(self, name: str) -> list[Any]:
        """Return the lines of a file in which each has the hash of the one before."""
        before, found = "0" * 64, self.lines(name)
        for number, one in enumerate(found):
            rest = {key: value for key, value in one.items() if key != "hash"}
            if (one["hash"], one["previous"], one["sequence"]) != (sha256(canonical(rest)), before, number):
                raise ValueError(f"the chain of {name} breaks at record {number}")
            before = one["hash"]
        return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return f"{text}\n".encode("utf-8", "backslashreplace")


def archive(record: Record) -> Iterator[str]:
    """Read exactly the files of the manifest: the archive, made again of them, has the same bytes."""
    most = 64 * 1024**2 + 64 * record.path.stat().st_size
    with record.path.open("rb") as raw:
        if raw.read(10) not in {b"\x1f\x8b\x08\0\0\0\0\0\x02" + system for system in (b"\x03", b"\xff")}:
            yield "the head of the packed file is another one"
        raw.seek(0)
        data = gzip.GzipFile(fileobj=raw).read(most)
    again = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as there:
        members = [(one.name, data[one.offset_data :][: one.size]) for one in there]
    with tarfile.open(fileobj=again, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o644
            made.addfile(member, io.BytesIO(text))
    if again.getvalue() != data:
        yield "something is beside or behind its files"
    (first, manifest), *rest = members
    content = json.loads(manifest)["content"]
    record.left_out, record.id = list(content["left_out"]), content["incident"]
    record.files = {name.removeprefix(f"{record.id}/"): text for name, text in rest}
    held = {name: {"sha256": sha256(text), "size": len(text)} for name, text in record.files.items()}
    spelled = canonical({"content": content, "sha256": sha256(canonical(content))})
    known = (f"{record.id}/bundle.json", len(rest), record.json("incident.json")["target"], 1)
    if manifest != spelled or known != (first, len(held), content["target"], content["version"]):
        yield "bundle.json is not as it was written"
    other = [name for name in held.keys() | content["files"] if held.get(name) != content["files"].get(name)]
    yield from (f"{name!a} is not what bundle.json says" for name in sorted(other))
    if record.files.pop(SELF, this := Path(__file__).read_bytes()) != this:
        record.open.append(f"{SELF}, which is another one than this")


def journals(record: Record) -> Iterator[str]:
    """Check each journal by its own chain, its head, and `journal-end.txt`."""
    for head in [name for name in record.files if name.endswith(".head") and name != HEAD]:
        number, digest = record.files[head].decode().split()
        if record.chained(f"{head[:-5]}.jsonl")[int(number)]["hash"] != digest:
            yield f"{head[:-5]}.jsonl was truncated or rewritten: its head names record {number}"
    records = record.lines("journal.jsonl")
    known = {str(one["sequence"]): [one["at"]["wall"], one["event"].split()[0]] for one in records}
    ends = [line.split() for line in record.files.get("journal-end.txt", b"").decode().splitlines()]
    missing = [one[0] for one in ends if one[0].isdecimal() and known.get(one[0]) != one[1:3]]
    if missing and not any(one["event"] == "journal broken" for one in records):
        yield f"journal.jsonl was truncated or rewritten: journal-end.txt has another record {missing[0]}"


def chain(record: Record) -> Iterator[str]:
    """Check every file against the chain, and the signature of its head."""
    entries, signature = record.chained(CHAIN), ""
    if entries:
        line, _, signature = record.files[HEAD].decode("ascii").partition("\n")
        last = entries[: int(line[:12]) + 1][-1]
        spelled = "".join(f"{json.dumps(one, sort_keys=True, ensure_ascii=False)}\n" for one in entries)
        if (line, spelled.encode()) != (HEAD_LINE.format(**last), record.files[CHAIN]):
            yield "it was cut, made again or spelled otherwise: its head has another end"
        entries = entries[: last["sequence"] + 1]
    else:
        record.wrong += ["chain: it was cut"] if {CHAIN, HEAD} & record.files.keys() else []
        record.open.append("the whole record: it has no chain, nothing says whether it was changed")
    sealed = dict[str, str]()
    for entry in entries:
        for digest, name in [(text[:64], text[66:]) for text in entry["files"]]:
            if FINAL.fullmatch(name) and sealed.get(name, digest) != digest:
                yield f"{name!a} was sealed twice, with other bytes"
            sealed[name] = sealed.get(name, digest) if FINAL.fullmatch(name) else digest
        sealed = {name: digest for name, digest in sealed.items() if name not in entry["gone"]}
    new = record.files.keys() - sealed.keys() - {CHAIN, HEAD}
    changed = {name for name, digest in sealed.items() if sha256(record.files.get(name, b"-")) != digest}
    changed = {one for one in changed if not any(f"{one}/".startswith(f"{out}/") for out in record.left_out)}
    grown = {one for one in changed if "/" not in one and grew(one, record.files.get(one, b""), sealed[one])}
    begun = bool(grown) or any(BEGUN.fullmatch(name) for name in new)
    for name in sorted(changed):
        if name in grown or (begun and not FINAL.fullmatch(name)):
            new.add(name)
        else:
            yield f"{name!a} {'is not what' if name in record.files else 'is missing, and'} was sealed"
    record.open += sorted(map(ascii, new)) if entries else []
    unsigned = list[str]()
    while not signature and len(entries) > 1:
        signature = entries[-1]["signature"]
        unsigned.insert(0, entries.pop()["by"])
    key = (record.json("verdict.json") or {}).get("signature", "unsigned")
    who = signed(HEAD_LINE.format(**entries[-1]), signature, record.signers) if signature and entries else ""
    if who.startswith("!") or (not who and (key != "unsigned" or record.signers)):
        yield f"its signature does not hold: {who[1:] or f'there is none, and the verdict says {key}'}"
    since = f"unsigned since {', '.join(unsigned)!a}; before that " if unsigned and who else ""
    record.said.append(f"signature: {since}{who or 'unsigned'}")


def grew(name: str, data: bytes, digest: str) -> bool:
    so_far, hashes = hashlib.sha256(), set[str]()
    for text in data.splitlines(keepends=True) if name.endswith(".jsonl") else []:
        so_far.update(text)
        hashes.add(so_far.hexdigest())
    return digest in hashes


def signed(line: str, signature: str, signers: str) -> str:
    """Return whose signature it is, or behind an exclamation mark why it does not hold."""
    packed = base64.b64decode(signature.removeprefix(BEGIN).removesuffix(END).replace("\n", ""))
    lines = re.sub("(.{1,70})", r"\1\n", base64.b64encode(packed).decode())
    if signature != f"{BEGIN}{lines}{END}":
        return "!it is spelled otherwise"
    with tempfile.NamedTemporaryFile("w") as file:
        print(signature, end="", file=file, flush=True)
        try:
            code, said = keygen(line, file.name, "check-novalidate", "-n", "rollproof")
            if signers and code == 0:
                _, by = keygen(line, file.name, "find-principals", "-f", signers)
                about = ("-f", signers, "-n", "rollproof", "-I", by.split(";")[0])
                code, said = keygen(line, file.name, "verify", *about)
        except (OSError, subprocess.SubprocessError) as error:
            return f"one that was not checked: ssh-keygen: {type(error).__name__}"
    return f"!{said}" if code else said


def keygen(line: str, file: str, *arguments: str) -> tuple[int, str]:
    command = ["ssh-keygen", "-Y", *arguments, "-s", file]
    ran = subprocess.run(command, input=f"{line}\n", capture_output=True, text=True, timeout=20, check=False)
    return ran.returncode, (ran.stdout or ran.stderr).strip().replace("\n", ";")[:200]


def seconds(later: Any, earlier: Any) -> float:
    if later["boot"] and later["boot"] == earlier["boot"]:
        return float(later["since_boot"] - earlier["since_boot"])
    return (datetime.fromisoformat(later["wall"]) - datetime.fromisoformat(earlier["wall"])).total_seconds()


def combined(verdicts: list[str]) -> str:
    found = max(verdicts, key=RANK.__getitem__, default="broken")
    return "broken" if found == "blocked" else found


def runs_of(record: Record) -> Iterator[tuple[int, Any, Any, dict[str, Any]]]:
    numbers = {name.split("/")[1] for name in record.files if re.match(r"ledger/\d+/", name)}
    for number in sorted(numbers, key=int):
        results = dict[str, Any]()
        for one in record.lines(f"ledger/{number}/results.jsonl"):
            if RANK[results.get(one["check"], one)["verdict"]] <= RANK[one["verdict"]]:
                results[one["check"]] = one
        facts, plan = (record.json(f"ledger/{number}/{name}.json") for name in ("run", "plan"))
        yield int(number), facts, plan or {}, results


def allure(record: Record) -> Iterator[str]:
    """Compare the latest result of each check with the ledger: whether it passed."""
    latest, known = dict[str, Any](), dict[str, str]()
    for _, _, plan, results in runs_of(record):
        planned = [check for one in plan.values() for check in one["checks"]]
        known |= {check: results.get(check, {"verdict": "not reported"})["verdict"] for check in planned}
    for name in [one for one in record.files if re.fullmatch(r"allure-results/.*-result\.json", one)]:
        one = record.json(name)
        check = next((label["value"] for label in one["labels"] if label["name"] == "nodeId"), "")
        latest[check] = max(latest.get(check, (0, "")), (one["start"], one["status"]))
    for check in sorted(latest.keys() & known.keys()):
        if (latest[check][1] == "passed") != (known[check] == "passed"):
            yield f"{check!a} is {latest[check][1]!a} by Allure, and {known[check]} by the ledger"


def verdict(record: Record) -> Iterator[str]:
    """Derive the verdict from the ledger, and compare it with the one that is recorded."""
    recorded, incident = record.json("verdict.json") or {}, record.json("incident.json")
    change = incident.get("kind") == "change"
    runs, phases, rollback = list(runs_of(record)), recorded.get("phases", {}), record.json("rollback.json")
    limits = [facts["limits"] for _, facts, _, _ in runs if facts and "windows" in facts.get("limits", {})]
    windows = limits[-1]["windows"] if limits else {name: one["window"] for name, one in phases.items()}
    counted = [run for run in runs if run[1] and (not change or run[2])][-1 if change else 0 :]
    if not change:
        zero = rollback["finished"] if rollback else incident["started"]
        of_phases = [facts["started"] for _, facts, plan, _ in counted if plan.keys() & set(PHASES)]
        at, span = [incident["started"], *of_phases][-1], max([end for _, end in windows.values()] or [600])
        near = [run for run in counted if abs(seconds(at, run[1]["started"])) <= span]
        counted = [run for run in near if not rollback or run[1]["zero"] == zero]
    partial, late, oldest = bool(recorded.get("partial")), False, 0
    stages, every = dict[str, Any](), list[str]()
    for name in STEPS if change else PHASES:
        run = next((one for one in reversed(counted) if name in one[2] and one[0] >= oldest), None)
        if run is None:
            partial = True
            continue
        oldest, facts, planned, results = run[0], run[1], run[2][name], run[3]
        verdicts = [results.get(check, {"verdict": "broken"})["verdict"] for check in planned["checks"]]
        partial |= planned.get("partial") is not None or not (change or facts["gated"])
        own = [] if change else [one for one in results.values() if one["phase"] == name]
        begun = None if change else record.json(f"ledger/{oldest:04d}/begun-{name}.json")
        done = [one["finished"] for one in own if one["verdict"] != "blocked"]
        is_late = any(one["verdict"] == "blocked" and one.get("means") == "late" for one in own)
        for end in [begun["at"], *done] if begun else []:
            is_late |= round(seconds(end, facts["zero"]), 1) > windows[name][1]
        late, found = late or is_late, combined(verdicts)
        stages[name] = "failed" if is_late else found, {one: verdicts.count(one) for one in RANK}
        every.append(found)
    if rollback or "unfinished.json" in record.files:
        ended = rollback["verdict"] if rollback else "broken"
        every.append(ended if "unfinished.json" not in record.files or ended == "failed" else "broken")
    derived = combined([*every, "broken"] if partial else every)
    down = record.json("downtime.json") if derived == "passed" else None
    if down and rollback and down["rollback"] == rollback["finished"]:
        late |= round(down["seconds"], 1) > down["objective"]
    derived = "failed" if late else derived
    record.said.append(f"verdict, derived again: {derived}{'' if recorded else '; none is recorded'}")
    if not recorded:
        return
    if (recorded["incident"], recorded["target"]) != (record.id, incident["target"]):
        yield "verdict.json is of another incident"
    if recorded["verdict"] != derived:
        yield f"verdict.json says {recorded['verdict']!a}, and the ledger says {derived}"
    if {name: (one["verdict"], one["checks"]) for name, one in phases.items()} != stages:
        yield "verdict.json says something else of the phases than the ledger"
    if recorded["rollback"] != (rollback and {name: rollback[name] for name in ("verdict", "seconds")}):
        yield "verdict.json tells of another end of the rollback"


def main(arguments: list[str]) -> int:
    if len(arguments) not in {1, 2} or not Path(arguments[0]).is_file():
        print(__doc__)
        return 4
    record = Record(*arguments)
    for test in (archive, chain, journals, allure, verdict):
        try:
            found = test(record) if record.files or test is archive else []
            record.wrong += [f"{test.__name__}: {text}" for text in found]
        except Exception as error:  # noqa: BLE001 - data of any shape, made by anybody
            record.wrong.append(f"{test.__name__}: damaged: {type(error).__name__}: {str(error)[:80]!a}")
    record.said += [f"not sealed: {name}" for name in record.open[:20]]
    print(*record.said, *(f"WRONG: {text}" for text in record.wrong[:50]), sep="\n")
    code = 1 if record.wrong else 3 if record.open else 0
    print({0: "all of it holds", 1: "it does not hold", 3: "what is sealed holds"}[code])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
