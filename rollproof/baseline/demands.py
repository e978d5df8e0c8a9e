"""The demands of the profile, which a baseline records.

A profile that asks for less makes checks green: a collection called volatile is not compared. So a profile
that asks for something else than at the capture is refused as a measure: nothing about the target is wrong,
but nothing is verified either. What it asks for in addition is asked of the target as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollproof.baseline.configuration import shown_json
from rollproof.baseline.facts import Facts, RecordedContent
from rollproof.collection import Json
from rollproof.errors import ActionFailed, Unverifiable, listed
from rollproof.home import typed
from rollproof.profile.profile import Target
from rollproof.profile.sections import StoreProfile
from rollproof.stores.reader import Reader

_LONGEST = 160
# How a store is reached and backed up, not what is read there.
_ACCESS = {
    *("address", "deadline_seconds", "load", "reader", "operator", "bystanders"),
    *("risk", "backup", "restore", "ready_seconds"),
}
_OF_THE_APPLICATION: Mapping[str, Any] = {
    **dict.fromkeys(("interface", "writers", "health"), True),
    "functions": True,
    "canary": {
        *("user", "knowledge_base", "question", "expected_file", "expected_text", "other", "references")
    },
}


@dataclass(frozen=True, slots=True)
class ChangedDemand:
    """One demand that is no longer what it was at the capture; `store` is "" for one of no store."""

    store: str
    what: str
    before: str
    now: str

    def __str__(self) -> str:
        """Return both sides in words."""
        return f"{self.what}: {self.before} at the capture, {self.now} now"


def capture_hint() -> str:
    """Return what to do about a profile whose demands are not those of its baseline."""
    return (
        "change the profile back; or, if it is meant so and the target is in a good state, capture a new"
        f" baseline: {typed('capture')}"
    )


def demands_of(target: Target) -> dict[str, dict[str, Any]]:
    """Return the demands of the profile by store, or "", and key, in JSON; no secret is in them."""
    application = target.application.model_dump(mode="json", include=dict(_OF_THE_APPLICATION))
    del application["functions"]["api"]
    if not target.application.canary.upload:
        # An upload is verified only where the canary has a document for it.
        del application["functions"]["upload"]
    general = {
        **application,
        "services": dict.fromkeys(target.services, "in the profile"),
        "engine": target.engine.model_dump(mode="json", include={"project", "changing"}),
        "hosts": {
            name: one.model_dump(mode="json", include={"paths", "engine"})
            for name, one in target.hosts.items()
        },
        "limits": target.limits.model_dump(mode="json"),
        "references": {name: one.model_dump(mode="json") for name, one in target.references.items()},
    }
    return {
        "": dict(_flat(general)),
        **{name: demands_of_store(store) for name, store in target.stores.items()},
    }


def demands_of_store(store: StoreProfile) -> dict[str, Any]:
    """Return what a profile asks of one store, by key, in JSON; no secret is in it."""
    # The first pattern that matches counts, and a mapping on disk has no order.
    policy = [list(pair) for pair in store.policy.items()]
    return dict(_flat({**store.model_dump(mode="json", exclude=set(_ACCESS)), "policy": policy}))


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - JSON
    """Yield each value of nested objects by its keys with dots between them, except what is not set."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _flat(one, f"{key}.{name}" if key else name)
    elif value is not None and value != "":
        yield key, value


def changed_demands(facts: Facts, target: Target) -> list[ChangedDemand]:
    """Return the recorded demands that are not the same now, and the new ones of a store that was there."""
    now, found = demands_of(target), list[ChangedDemand]()
    for store, before in facts.demands.items():
        if store not in now:
            found.append(ChangedDemand(store, f"store {store}", "in the profile", "not in it"))
            continue
        # A new pattern of a store's policy, say, may ask for less.
        for key in sorted({*before, *now[store]} if store else before):
            was, is_now = before.get(key), now[store].get(key)
            if was != is_now:
                what = f"{key} of {store or 'the profile'}"
                found.append(
                    ChangedDemand(store, what, shown_json(was, _LONGEST), shown_json(is_now, _LONGEST))
                )
    return found


def require_demands(changed: Iterable[ChangedDemand], store: str) -> None:
    """Check that nothing else is asked of `store` than at the capture; `changed` are all changed demands.

    Raises:
        Unverifiable: something else is; both sides are in the text.
    """
    if found := [one for one in changed if one.store == store]:
        before, now = (
            [f"{one.what} {one.before}" for one in found],
            [f"{one.what} {one.now}" for one in found],
        )
        raise Unverifiable(
            what=f"what the profile asks of {store}",
            expected=f"as at the capture: {listed(before, between='; ')}",
            observed=listed(now, between="; "),
            source="the profile, against the baseline",
            hint=capture_hint(),
        )


Schemas = Callable[[], Mapping[str, Json]]
"""Returns the schemas as the account sees them."""


GRANTS_HINT = "grant the reader what it lacks, as the statements that init writes do"
"""The hint for a reader that does not see all."""


def require_whole_sight(content: Reader, schemas: Schemas) -> tuple[str, ...]:
    """Return the kinds of objects that the store could hide from this account, when it sees them all.

    Raises:
        ActionFailed: it does not see them all. `Unverifiable`: the store does not answer.
    """
    sight = content.sight(schemas())
    if lacking := [f"{what}, lacking {right}" for what, right in sight.items() if right]:
        raise ActionFailed(
            what=f"sight of the reader of {content.name}",
            expected="every object of the store: a baseline must not miss one",
            observed=f"hidden from it: {listed(lacking, between='; ')}",
            source=content.name,
            hint=GRANTS_HINT,
        )
    return tuple(sight)


def lost_sight(content: Reader, schemas: Schemas, recorded: RecordedContent) -> list[str]:
    """Return in words what the account cannot see: for lack of a right, or though it could at the capture."""
    sight = content.sight(schemas())
    return [
        *(f"{what}, lacking {right}" for what, right in sight.items() if right),
        *(f"{what}, which it saw at the capture" for what in recorded.sight if what not in sight),
    ]


COMPARING = (
    "test_engine_is_that_of_the_target",
    "test_container_runs_the_recorded_image",
    "test_container_runs_the_recorded_commit",
    "test_container_is_configured_as_recorded",
    "test_container_is_unchanged_inside",
    "test_no_unrecorded_container",
    "test_no_stranger_on_the_networks",
    "test_profile_asks_no_less_than_at_the_capture",
    "test_working_copy_is_as_clean_as_recorded",
    "test_working_copy_is_on_the_recorded_commit",
    "test_interface_is_the_recorded_one",
    "test_store_holds_no_unrecorded_collection",
    "test_store_holds_no_unrecorded_schema",
    "test_account_sees_as_much_as_at_the_capture",
)
"""The checks that compare with a baseline, and have a case without one."""
OF_FULL_GATE = (
    "test_backup_restores",
    "test_migration_was_rehearsed",
    "test_record_of_the_rehearsal_is_whole",
    "test_staging_passed_its_checks_after_the_migration",
    "test_migration_lost_nothing",
    "test_migration_altered_no_definition",
    "test_old_code_works_on_migrated_data",
    "test_rollback_was_rehearsed",
    "test_rehearsal_began_where_the_target_is",
    "test_rehearsal_is_recent",
)
"""The items of the gate that try a backup, or ask for a rehearsal."""
LIGHT_GATE = "light: a restore was not tried, and the migration not rehearsed"


def uncovered(target: Target, recorded: Facts) -> Iterator[tuple[str, str]]:
    """Yield the name of each such check, and why nothing would be compared."""
    if target.is_light:
        why = f"there is no baseline: {typed('capture')} records one"
        yield from ((name, why) for name in COMPARING)
    if target.premigration.tier == "light":
        yield from ((name, LIGHT_GATE) for name in OF_FULL_GATE)
    if not target.stores:
        yield "test_health_endpoint_tells_the_truth", "the profile names no stores"
    yield from target.engine.of_kind.lacks.items()
    if not target.engine.files:
        yield "test_next_start_is_as_it_runs", "the profile names no compose files"
    if not recorded.page:
        yield "test_first_page_is_the_recorded_one", "it changed by itself at the capture, or there was none"
    if not recorded.canary.turns and {"conversations", "turns"} <= target.application.verifiable:
        why = "the canary had none at the capture that could be opened: keep one, and capture again"
        yield "test_old_conversations_open", why
