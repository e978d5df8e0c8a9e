"""The keeper of a database whose backup is a dump, as MySQL and PostgreSQL are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollproof.stores.keeper import Restored, StoreKeeper
from rollproof.stores.package import Package


class DumpKeeper(StoreKeeper):
    """Write side of a database whose backup is a dump by its server's own program."""

    def _expect_settled(self, changed: str | None) -> None:
        """Refuse a dump during which a definition `changed`."""
        if changed:
            raise self._failed(
                "backup",
                expected="tables that keep their definition, and FLOAT values, while they are dumped",
                observed=changed,
                hint="stop the application or its migration, and take the backup again",
            )

    def _restored(
        self,
        package: Package,
        differs: str | None,
        counts: Mapping[str, int],
        present: Sequence[str],
        notes: Sequence[str] = (),
    ) -> Restored:
        """Return the result of a restore of `package`: nothing `differs`, and the `counts` are the backup's.

        Tables that were `present` before, and are not in the backup, are named.
        """
        for name, records in package.records.items():
            if not differs and counts.get(name) != records:
                differs = f"{counts.get(name)} rows of {name} instead of {records}"
        if differs:
            raise self._not_restored(differs)
        later = sorted(set(present) - set(package.records))
        return Restored(
            package.records, (*notes, *(f"dropped {name}, which came after the backup" for name in later))
        )
