"""The guide shows the store of another distribution as it is."""

from __future__ import annotations

from tests.conftest import ROOT
from tests.unit.toy_store.conftest import INSTALLED


def test_the_guide_shows_the_store() -> None:
    guide = (ROOT / "docs/howto/add-a-store.md").read_text(encoding="utf-8")
    for name in ("descriptor", "reader", "keeper", "subject"):
        code = (INSTALLED / f"folder_store/{name}.py").read_text(encoding="utf-8")
        assert f'```python title="folder_store/{name}.py"\n{code}```\n' in guide, name
