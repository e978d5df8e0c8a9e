"""The images of the staging stacks."""

from __future__ import annotations

import re

from staging.stack.images import PREFIX
from tests.conftest import ROOT


def test_applications_start_from_an_image_that_the_stores_build_tags() -> None:
    dockerfiles = (ROOT / "staging" / "application").rglob("Dockerfile")
    bases = {base for file in dockerfiles for base in re.findall(r"(?m)^ARG BASE=(\S+)$", file.read_text())}
    tagged = (ROOT / "staging" / "images" / "docker-bake.hcl").read_text().replace("${PREFIX}", PREFIX)
    assert bases
    assert [base for base in bases if f'tags = ["{base}"]' not in tagged] == []
