"""``rollproof report.pictures FOLDER`` draws an incident's pictures.

`reports.tools.drawing` runs it as a separate program. A run of checks is then spared Matplotlib's import and
memory, and a failure in it ends nothing else. The last line of its output is a JSON list. It holds problems
of pictures that could not be drawn, and parts of the record that no picture shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reports.pictures.album import draw_pictures
from rollproof.errors import Problem

_SHOWN = 5


def main(folder: Path) -> int:
    """Draw the pictures of an incident into its folder `pictures`; return the exit code."""
    try:
        album = draw_pictures(folder)
    except Problem as problem:
        print(problem, file=sys.stderr)  # noqa: T201
        return problem.exit_code
    wrong = [str(problem) for problem in album.problems]
    wrong += [f"not in the pictures: {doubt}" for doubt in album.doubts[:_SHOWN]]
    if len(album.doubts) > _SHOWN:
        wrong.append(f"not in the pictures: {len(album.doubts) - _SHOWN} more")
    print(json.dumps(wrong))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
