"""One form of the server's words for a definition, which change once the server has read them back.

A check ``status IN ('a', 'b')`` of a varchar is worded ``(ARRAY['a'::character varying, …])::text[]``, and
``ARRAY[('a'::character varying)::text, …]`` in a database that was restored from a dump.
"""

from __future__ import annotations

import re
from typing import Any

_PIECE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bARRAY\[|[^][(),'"A]+|.""", re.DOTALL)
_CAST = re.compile(r"""\)::((?:"(?:[^"]|"")*"|[\w. ]|\([\d,]+\))+)\[\]""")


def settled(value: Any) -> Any:  # noqa: ANN401 - any value of JSON
    """Return `value` with all texts in it as the server words them from the second reading on."""
    if isinstance(value, dict):
        return {name: settled(one) for name, one in value.items()}
    return _settled(value) if isinstance(value, str) and "(ARRAY[" in value else value


def _settled(text: str) -> str:
    # Brackets that are open: each with what stands in it, at its commas.
    opened, position = [("", [""])], 0
    while found := _PIECE.match(text, position):
        piece, position = found[0], found.end()
        if piece in ("(", "[", "ARRAY["):
            opened.append((piece, [""]))
            continue
        if piece == ",":
            opened[-1][1].append("")
            continue
        if piece in (")", "]") and len(opened) > 1:
            bracket, items = opened.pop()
            piece = f"{bracket}{','.join(items)}{piece}"
            cast = _CAST.match(text, position)
            if bracket == "ARRAY[" and opened[-1] == ("(", [""]) and cast:
                opened.pop()
                position = cast.end()
                piece = f"ARRAY[{', '.join(f'({item.strip()})::{cast[1]}' for item in items)}]"
        opened[-1][1][-1] += piece
    return "".join(bracket + ",".join(items) for bracket, items in opened)
