"""The pictures of an incident: what they say, what they leave as a gap, what damage spoils."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from reports.incident.incident_record import read_record
from reports.pictures import beside_the_runbook as timeline
from reports.pictures import monitor, phases, records
from reports.pictures.album import Album, draw_pictures
from reports.pictures.style import SMALL, TEXT, WIDTH, fitting, plain, settings, spread, width_of
from reports.timeline.timeline import timeline_of
from reports.tools.drawing import EVERY, MONITOR, PHASES, RECORDS, TIMELINE
from rollproof.errors import Problem, Unverifiable
from rollproof.incident.incident import IncidentKind
from rollproof.record_names import PICTURES
from rollproof.system.clock import Moment
from rollproof.system.files import canonical_json
from rollproof.verdict import Verdict
from tests.unit.drawn_incident import KEPT, Drawn, account, drawn_incident, moment

LARGEST = 150_000
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Album:
    """All pictures of the incident as it is at first; nobody changes its folder."""
    album = draw_pictures(drawn_incident(tmp_path_factory.mktemp("album")).folder)
    assert [str(problem) for problem in album.problems] == []
    return album


@pytest.fixture
def made(tmp_path: Path) -> Drawn:
    return drawn_incident(tmp_path)


@pytest.fixture
def shown(tmp_path: Path, album: Album) -> Drawn:
    """The incident with its pictures, a copy for one test alone."""
    folder = album.pictures[0].parent.parent
    return Drawn(Path(shutil.copytree(folder, tmp_path / folder.name)))


def draw(made: Drawn, name: str) -> bytes | None:
    """Draw one picture of the incident, as it is drawn among all of them."""
    record = read_record(made.folder)
    every: dict[str, Callable[[], bytes | None]] = {
        TIMELINE: lambda: timeline.draw(timeline_of(record)),
        PHASES: lambda: phases.draw(record),
        MONITOR: lambda: monitor.draw(record, timeline_of(record)),
        RECORDS: lambda: records.draw(record),
    }
    with settings():
        return every[name]()


def picture(made: Drawn, name: str) -> ET.Element:
    svg = draw(made, name)
    assert svg is not None
    return ET.fromstring(svg)  # noqa: S314 - made by ourselves


def refused(made: Drawn, name: str) -> Problem:
    """Return why one picture is not drawn."""
    with pytest.raises(Unverifiable) as raised:
        draw(made, name)
    assert "HINT" in str(raised.value)
    return raised.value


def of_album(album: Album, name: str) -> ET.Element:
    (path,) = [path for path in album.pictures if path.name == name]
    return ET.fromstring(path.read_bytes())  # noqa: S314 - made by ourselves


def texts(picture: ET.Element) -> list[str]:
    """Return the texts in a picture, as a reader would see them."""
    return ["".join(text.itertext()) for text in picture.iter(f"{SVG}text")]


def description(picture: ET.Element) -> str:
    """Return what a picture says that it shows."""
    (found,) = picture.iter("{http://purl.org/dc/elements/1.1/}description")
    return "".join(found.itertext())


def test_all_are_drawn_small_and_sufficient_in_themselves(album: Album) -> None:
    assert [picture.name for picture in album.pictures] == list(EVERY)
    assert album.doubts == ()
    for picture in album.pictures:
        svg = picture.read_text()
        assert len(svg) < LARGEST, picture
        for attribute in ("href", "src"):
            assert f'{attribute}="http' not in svg
        assert "@font-face" not in svg
        assert "<image" not in svg
        assert "'DejaVu Sans', 'Verdana', 'Arial', sans-serif" in svg
        assert 'style="fill: #ffffff"' in svg, "paper is white"


def test_the_same_folder_makes_the_same_bytes(shown: Drawn) -> None:
    pictures = shown.folder / PICTURES
    first = {path.name: path.read_bytes() for path in pictures.iterdir()}
    shutil.rmtree(pictures)

    draw_pictures(shown.folder)

    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == first


def test_without_data_there_is_no_picture_and_an_earlier_one_goes(shown: Drawn) -> None:
    for path in sorted(shown.folder.rglob("*"), reverse=True):
        if path.is_file() and path.name != "incident.json" and path.parent.name != PICTURES:
            path.unlink()
        elif path.is_dir() and path.name != PICTURES:
            path.rmdir()

    album = draw_pictures(shown.folder)

    assert (album.pictures, album.problems) == ((), ())
    assert list((shown.folder / PICTURES).iterdir()) == []


def test_a_change_has_no_pictures(made: Drawn) -> None:
    path = made.folder / "incident.json"
    path.write_bytes(canonical_json({**json.loads(path.read_text()), "kind": IncidentKind.CHANGE}))

    assert draw_pictures(made.folder).pictures == ()


def test_what_went_wrong_is_bold_and_fits_all_the_same(made: Drawn) -> None:
    made.journal("response.jsonl", [(1, "ended", {"ending": "manual intervention", "reason": "m" * 200})])
    root = picture(made, TIMELINE)
    every = [text for text in root.iter(f"{SVG}text") if "font-weight: 700" in text.attrib["style"]]
    (wrong,) = [text for text in every if "mmm" in (text.text or "")]
    with settings():
        assert float(wrong.attrib["x"]) / 72 + width_of(wrong.text or "", SMALL, "bold") <= WIDTH


def test_no_title_of_the_monitor_s_picture_is_over_another(made: Drawn) -> None:
    # Nothing was decided while it looked: the panels begin right below the head.
    made.sampled(last=-600)
    root = picture(made, MONITOR)
    heights = {"".join(text.itertext()): float(text.attrib["y"]) for text in root.iter(f"{SVG}text")}
    (head,) = [height for text, height in heights.items() if "samples;" in text]
    assert heights["Failed, % of those asked"] - head > 1.5 * TEXT


def test_texts_of_the_record_are_shown_as_they_are(made: Drawn) -> None:
    said = "rm -rf $x^{2$ & <b>\x1b[31m \x00 \N{SNOWMAN} 日本"
    made.journal("response.jsonl", [(1, "agreed", {"by": said})])

    (shown,) = [text for text in texts(picture(made, TIMELINE)) if "agreed" in text]
    assert "rm -rf $x^{2$ & <b> [31m \N{SNOWMAN} 日本" in shown


def test_the_timeline_sets_the_incident_beside_the_runbook(album: Album) -> None:
    shown = texts(of_album(album, TIMELINE))
    assert "staging: T+10 is the first bad sample, 14 March 2026, 09:05:45 UTC" in shown
    assert "preparation T-30" in shown
    assert "post-mortem T+60" in shown
    ended = next(
        n for n, text in enumerate(shown) if text.startswith("emergency rollback to 4f2a9c17d03b: p")
    )
    assert shown[ended - 1] == "T+14:27"
    assert shown[ended].endswith("passed (45.2 s)")


def test_the_timeline_of_a_deployment_begins_with_it(made: Drawn) -> None:
    step = "deploy 9be1c0ffee00"
    began = {"step": step, "id": "deploy", "of": "9be1c0ffee00"}
    ended = {**began, "began": 0, "seconds": 2.0}
    made.journal("journal.jsonl", [(-600, "started", began), (-598, "ended", ended)])

    shown = texts(picture(made, TIMELINE))

    assert "staging: T+0 is the deployment, 14 March 2026, 09:00:00 UTC" in shown
    assert "T+00:00" in shown


def test_of_a_crowded_incident_the_timeline_shows_some_of_each_kind(made: Drawn) -> None:
    made.journal("response.jsonl", [(20 + n, "agreed", {"by": f"person {n}"}) for n in range(60)])

    shown = texts(picture(made, TIMELINE))
    assert sum(re.fullmatch(r"T[+-]\d\d:\d\d", text) is not None for text in shown) == 34
    assert any("Phase 4" in text for text in shown)
    assert any("more have no room" in text for text in shown)


def test_phases_are_shown_against_their_windows(made: Drawn) -> None:
    made.verified({"phase2": Verdict.FAILED})
    shown = texts(picture(made, PHASES))
    at = shown.index("Phase 2: Connectivity")
    assert shown[at : at + 3] == ["Phase 2: Connectivity", "failed: 10 passed, 1 failed", "10.0 to 14.1 s"]
    assert "window 120 to 180 s" in shown
    assert "seconds after the end of the rollback" in shown


def test_a_phase_after_its_window_is_late_and_one_that_did_not_run_has_no_bar(made: Drawn) -> None:
    path = made.folder / "verdict.json"
    verdict = json.loads(path.read_text())
    verdict["phases"]["phase1"]["window"] = [0, 5]
    del verdict["phases"]["phase4"]
    path.write_text(json.dumps(verdict))

    shown = texts(picture(made, PHASES))
    assert "3.0 to 8.2 s, later than its window" in shown
    assert shown[shown.index("Phase 4: Data integrity") + 1] == "has not run"


@pytest.mark.parametrize(
    "damage", ["ledger/0001/results.jsonl", "ledger/0001/plan.json", "ledger/0001/run.json"]
)
def test_phases_of_a_damaged_ledger_are_not_drawn(made: Drawn, damage: str) -> None:
    (made.folder / damage).write_text("{]\n")

    assert refused(made, PHASES).what == "time of phase1"
    assert any("ledger/0001" in doubt for doubt in timeline_of(read_record(made.folder)).doubts)


def test_a_verdict_of_before_the_newest_rollback_is_not_drawn(made: Drawn) -> None:
    made.rolled_back(finished=moment(900))

    assert refused(made, PHASES).what == "time of phase1"


@pytest.mark.parametrize(
    ("damage", "spoiled", "what"),
    [
        ("ledger/0001/results.jsonl", PHASES, "time of phase1"),
        ("samples.jsonl", MONITOR, "samples around the incident"),
        ("lost-window/accounting.json", RECORDS, "accounts of the records"),
    ],
)
def test_what_cannot_be_drawn_goes_and_spoils_no_other(
    shown: Drawn, damage: str, spoiled: str, what: str
) -> None:
    (shown.folder / damage).write_text("{]\n")

    album = draw_pictures(shown.folder)

    rest = [name for name in EVERY if name != spoiled]
    assert [picture.name for picture in album.pictures] == rest
    assert {path.name for path in (shown.folder / PICTURES).iterdir()} == set(rest)
    assert [problem.what for problem in album.problems] == [what]
    assert any(doubt.startswith(f"{damage}: ") for doubt in album.doubts)


def test_records_are_shown_store_by_store(album: Album) -> None:
    found = of_album(album, RECORDS)
    shown = texts(found)
    assert shown.count("140,233") == 1
    assert all(store in shown for store in KEPT)
    assert "expired" not in shown
    assert "mysql: 140,233 kept, 212 restored, 38 exported, 3 revived, 0 unaccounted" in description(found)


def test_what_is_not_known_of_a_store_is_no_zero(made: Drawn) -> None:
    accounts = {
        "milvus": account(0, 0, 0, 0, unknown={"milvus": "it is not up"}),
        "mysql": account(5, 0, 0, 0, unaccounted=2, unknown={"layra.files": "its key is gone"}),
    }
    made.accounted(accounts)
    made.rolled_back(records={"kept": 5, "unaccounted": 2, "unknown": 2}, verdict="failed")
    made.verified()

    shown = texts(picture(made, RECORDS))
    assert shown.count("not known") == 5
    assert "milvus: not known: it is not up" in shown
    assert "mysql: not known: layra.files: its key is gone" in shown
    assert {"5 *", "2 *", "0 *"} <= set(shown)


@pytest.mark.parametrize(
    "accounts",
    [b"{]", b'{"mysql": 3}', b'{"mysql": {"kept": "many"}}', b'{"mysql": {"kept": 1, "unknown": {}}}', None],
    ids=["no JSON", "no account", "no number", "another sum", "no file"],
)
def test_accounts_that_are_not_those_of_the_rollback_are_not_drawn(
    made: Drawn, accounts: bytes | None
) -> None:
    path = made.folder / "lost-window" / "accounting.json"
    path.unlink()
    if accounts is not None:
        path.write_bytes(accounts)

    assert refused(made, RECORDS).what == "accounts of the records"


def test_a_damaged_record_of_the_rollback_is_said_by_what_needs_it(made: Drawn) -> None:
    (made.folder / "rollback.json").write_text("{]")

    album = draw_pictures(made.folder)

    assert [picture.name for picture in album.pictures] == [TIMELINE, MONITOR]
    assert [problem.what for problem in album.problems] == ["time of the phases", "accounts of the records"]


def test_a_rollback_without_data_has_no_picture_of_records(made: Drawn) -> None:
    made.rolled_back(records=None)

    assert draw(made, RECORDS) is None
    assert draw(made, PHASES) is not None


def test_the_records_of_an_earlier_rollback_are_shown_as_its_own(made: Drawn) -> None:
    made.incident.set_rollback_aside()
    made.rolled_back(kind="service", names=("backend",), records=None)

    assert draw(made, PHASES) is not None
    shown = texts(picture(made, RECORDS))
    assert "140,233" in shown
    assert "of the emergency rollback to 4f2a9c17d03b, the last that restored data" in shown


def test_the_monitor_s_picture_marks_the_moments_of_decision(album: Album) -> None:
    found = of_album(album, MONITOR)
    shown = texts(found)
    wanted = ["assessed: critical", "decided", "agreed", "rollback begins", "rollback passed", "checks end"]
    assert [text for text in shown if text in wanted] == wanted
    assert "rollback begins 09:10:12; rollback passed 09:10:57" in description(found)
    assert [t for t in shown if t[2:3] == ":"] == ["08:55", "09:00", "09:05", "09:10", "09:15", "09:20"]


def test_of_many_moments_the_foremost_are_marked(made: Drawn) -> None:
    made.journal("response.jsonl", [(n, "agreed", {"by": "Ada"}) for n in range(40)])

    shown = texts(picture(made, MONITOR))
    assert shown.count("agreed") == 7
    assert {"rollback begins", "rollback passed", "checks end"} <= set(shown)
    assert any(text.endswith("33 more moments are in the timeline") for text in shown)


def test_samples_that_are_none_are_not_drawn(made: Drawn) -> None:
    path = made.folder / "samples.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"late"', b'"latte"', 1))

    problem = refused(made, MONITOR)

    assert problem.what == "samples around the incident"
    assert str(problem.observed).startswith("line 1 is none")


def test_a_torn_last_sample_is_left_out(made: Drawn) -> None:
    path = made.folder / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-40])

    assert any("300 samples" in text for text in texts(picture(made, MONITOR)))


def test_places_are_apart_in_order_and_inside() -> None:
    for wanted in ([], [0.5], [0.1, 0.1, 0.1], [0.0, 0.99, 1.0, 1.0], [0.2, 0.21, 0.5, 0.51, 0.9]):
        places = spread(wanted, 0.1, 0.0, 1.0)
        assert len(places) == len(wanted)
        assert all(later - earlier >= 0.1 - 1e-9 for earlier, later in pairwise(places))
        assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    assert spread([0.2, 0.6], 0.1, 0.0, 1.0) == [0.2, 0.6]
    assert spread([0.5] * 11, 0.5, 0.0, 1.0)[:2] == pytest.approx([0.0, 0.1])


def test_a_text_fits_where_it_is_to_be() -> None:
    with settings():
        short = fitting("the reason is\nlong " * 20, 2.0)
        assert width_of(short) <= 2.0
        assert short.startswith("the reason is long")
        assert short.endswith("…")
        assert fitting("short", 2.0) == "short"
    assert plain("a\x00b\tc\u2028d\ud800") == "a b c d"


def test_moments_of_no_calendar_are_no_samples(made: Drawn) -> None:
    path = made.folder / "samples.jsonl"
    record = json.loads(path.read_bytes().splitlines()[0])
    record["at"] = Moment("9999-12-31T23:59:59+00:00", 1e300, "made").record()
    path.write_text(json.dumps(record) + "\n")

    assert refused(made, MONITOR).what == "samples around the incident"
