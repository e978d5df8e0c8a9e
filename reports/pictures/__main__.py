"""``python -m reports.pictures FOLDER`` draws an incident's pictures.

It is a program of its own for `reports.drawing`: Matplotlib costs a run of checks neither its import nor its
memory, and whatever goes wrong in it ends nothing else. The last line that it prints is a list in JSON: what
is wrong with the pictures that could not be drawn, and what of the record none of them shows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fixtures.errors import Problem
from reports.pictures.album import draw_pictures

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
