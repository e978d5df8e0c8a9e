"""A tiny embedding that needs no model: words, hashed into a vector of length 1."""

import math
import re
from hashlib import blake2b

DIMENSIONS = 64
_SHORTEST = 4


def embed(text: str) -> str:
    """Return the vector of a text, as pgvector reads it.

    Short words say little, and are left out.
    """
    counts = [0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        if len(word) >= _SHORTEST:
            counts[blake2b(word.encode(), digest_size=2).digest()[0] % DIMENSIONS] += 1
    length = math.hypot(*counts) or 1.0
    return str([round(count / length, 6) for count in counts])
