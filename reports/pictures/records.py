"""The fate of each restored store's records: kept, exported, revived, and so on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from reports.incident.incident_record import IncidentRecord
from reports.pictures.style import INK, SMALL, TEXT, WIDTH, Look, fitting, new_figure, svg, width_of
from reports.timeline.rollback import ended_rollbacks, wanted
from rollproof.errors import Unverifiable
from rollproof.incident.incident import StoreAccount
from rollproof.record_names import ACCOUNTS, ROLLBACK

# Outcomes that have a column even without such records.
_ALWAYS = ("kept", "restored", "exported", "revived", "unaccounted")
_RARE = ("expired",)
_LOOKS: Mapping[str, Look] = {
    "kept": Look("#ffffff", ""),
    "restored": Look("#cfe2f3", "////"),
    "exported": Look("#f6d9a8", "\\\\\\\\"),
    "revived": Look("#d5ead8", "----"),
    "expired": Look("#eeeeee", "xxxx"),
    "unaccounted": Look("#111111", ""),
}
_ROW, _HEAD, _FOOT, _LEFT = 0.27, 0.85, 0.3, 1.1
# As fractions of a column: the gap between two, and the least share for the longest bar.
_BETWEEN, _LEAST = 0.06, 0.2
_BESIDE: Mapping[str, Any] = {
    "xytext": (3, 0),
    "textcoords": "offset points",
    "va": "center",
    "size": SMALL,
}


@dataclass(frozen=True, slots=True)
class _Store:
    """The fate of a store's records; `unknown` gives the reasons for missing facts, "" if all is known."""

    name: str
    counts: Mapping[str, int]
    unknown: str

    @property
    def silent(self) -> bool:
        """Whether nothing is known about the store."""
        return bool(self.unknown) and not any(self.counts.values())


def draw(record: IncidentRecord) -> bytes | None:
    """Return the picture for the newest rollback that restored data, or None if no store was restored.

    Raises:
        Unverifiable: the accounts are damaged, or do not belong to that rollback.
    """
    if record.rollback is None and (record.incident.folder / ROLLBACK).exists():
        raise _not_its_own({}, f"no {ROLLBACK} that can be read")
    told = [one for one in ended_rollbacks(record).values() if one.records is not None]
    if not told:
        return None
    shown = told[-1]
    stores = _stores(record, shown.records or {})
    if not stores:
        return None
    columns = [name for name in (*_ALWAYS[:4], *_RARE, _ALWAYS[4]) if name in _ALWAYS or _any(stores, name)]
    notes = [f"{store.name}: not known: {store.unknown}" for store in stores if store.unknown]
    if record.earlier_rollbacks:
        notes.append(f"of the {wanted(shown.kind, shown.names, shown.commit)}, the last that restored data")
    height = _HEAD + _ROW * (len(stores) + 1) + _FOOT + 0.16 * len(notes)
    figure = new_figure(height)
    foot = _FOOT + 0.16 * len(notes)
    axes = figure.subplots(
        1,
        len(columns),
        sharey=True,
        squeeze=False,
        gridspec_kw={
            "left": _LEFT / WIDTH,
            "right": 0.99,
            "top": 1 - _HEAD / height,
            "bottom": foot / height,
            "wspace": _BETWEEN,
        },
    )[0]
    rows = [*stores, _total(stores)]
    longest = _length(max([1, *(count for store in rows for count in store.counts.values())]))
    # The longest bar leaves room for its number.
    wide = (0.99 * WIDTH - _LEFT) / (len(columns) + _BETWEEN * (len(columns) - 1))
    number = max(width_of(f"{count:,} *", SMALL) for row in rows for count in row.counts.values())
    limit = longest / max(_LEAST, 1 - (number + 0.1) / wide)
    for column, panel in zip(columns, axes, strict=True):
        _draw_column(panel, column, rows, limit)
    axes[0].set_yticks(range(len(rows)), [fitting(row.name, _LEFT - 0.15) for row in rows])
    axes[0].get_yticklabels()[-1].set_fontweight("bold")
    total = f"{_words(_total(stores).counts, columns)}"
    figure.text(0.01, 1 - 0.2 / height, "What became of the records", size=TEXT + 2, weight="bold")
    least = " * at least." if _unknown(stores) else ""
    subtitle = f"{total}. Lengths are logarithmic.{least}"
    figure.text(0.01, 1 - 0.42 / height, fitting(subtitle, WIDTH - 0.2), size=TEXT)
    for number, note in enumerate(notes):
        figure.text(0.01, (0.1 + 0.16 * number) / height, fitting(note, WIDTH - 0.2, SMALL), size=SMALL)
    said = "; ".join(f"{row.name}: {row.unknown or _words(row.counts, columns)}" for row in rows)
    return svg(figure, f"Records of incident {record.incident.id}", said)


def _draw_column(panel: Axes, column: str, rows: Sequence[_Store], limit: float) -> None:
    look = _LOOKS[column]
    panel.set_title(column, weight="bold" if column == "unaccounted" else "normal", pad=4)
    panel.set_xlim(0, limit)
    panel.set_ylim(len(rows) - 0.4, -0.6)
    panel.set_xticks([])
    panel.tick_params(left=False)
    panel.spines["bottom"].set_visible(False)
    panel.axhline(len(rows) - 1.5, color=INK, linewidth=0.6)
    for place, store in enumerate(rows):
        if store.silent:
            panel.annotate("not known", (0, place), **_BESIDE, style="italic")
            continue
        count = store.counts[column]
        length = _length(count)
        panel.barh(place, length, 0.62, color=look.colour, hatch=look.hatch, edgecolor=INK, linewidth=0.6)
        panel.annotate(
            f"{count:,}{' *' if store.unknown else ''}",
            (length, place),
            **_BESIDE,
            weight="bold" if column == "unaccounted" and count else "normal",
        )


def _length(count: int) -> float:
    """Return the length of a bar for `count` records: every count above 0 has a visible bar."""
    return math.log10(1 + count)


def _stores(record: IncidentRecord, counted: Mapping[str, int]) -> list[_Store]:
    """Return the newest accounts whose sum matches `counted`, as that rollback recorded it."""
    for account in reversed([*record.accounts.values()]):
        stores = [_store(name, account[name]) for name in sorted(account)]
        if all(_total(stores).counts[name] == counted.get(name, 0) for name in (*_ALWAYS, *_RARE)):
            return stores
    observed = f"{len(record.accounts)} accounts, none with that sum" if record.accounts else "no account"
    raise _not_its_own(counted, observed)


def _store(name: str, account: StoreAccount) -> _Store:
    counts = {column: getattr(account, column) for column in (*_ALWAYS, *_RARE)}
    reasons = "; ".join(reason if of == name else f"{of}: {reason}" for of, reason in account.unknown.items())
    return _Store(name, counts, reasons)


def _total(stores: Sequence[_Store]) -> _Store:
    counts = {name: sum(store.counts[name] for store in stores) for name in (*_ALWAYS, *_RARE)}
    return _Store("all", counts, "of some stores not all is known" if _unknown(stores) else "")


def _unknown(stores: Sequence[_Store]) -> bool:
    return any(store.unknown for store in stores)


def _any(stores: Sequence[_Store], name: str) -> bool:
    return any(store.counts[name] for store in stores)


def _words(counts: Mapping[str, int], columns: Sequence[str]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in columns)


def _not_its_own(counted: Mapping[str, int], observed: str) -> Unverifiable:
    return Unverifiable(
        what="accounts of the records",
        expected=f"those of the newest rollback: {', '.join(f'{n} {name}' for name, n in counted.items())}",
        observed=observed,
        source=f"{ACCOUNTS} of the lost windows, and {ROLLBACK}",
        hint="the sum in rollback.json counts; what each store's records came to is in the journal",
    )
