"""Lexical embeddings: hashed words, so that the same text has the same vector everywhere, with no model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

DIMENSIONS = 128

Vectors = NDArray[np.float32]


@cache
def _vectorizer() -> HashingVectorizer:
    # Imported for the first text: it takes a second, for which whoever starts the application would wait.
    from sklearn.feature_extraction.text import HashingVectorizer  # noqa: PLC0415

    return HashingVectorizer(
        n_features=DIMENSIONS,
        norm="l2",
        stop_words="english",
        token_pattern=r"[A-Za-z][A-Za-z0-9]+",  # noqa: S106 -- a pattern of words, not a credential
        dtype=np.float32,
    )


def embed(texts: Sequence[str]) -> Vectors:
    """Return one row of 128 numbers a text, of length 1 (all zeros for a text without words)."""
    return np.asarray(_vectorizer().transform(texts).toarray(), dtype=np.float32)


def centroid(vectors: Vectors) -> Vectors:
    """Return the direction in which these vectors point together, of length 1."""
    total = vectors.sum(axis=0)
    length = float(np.linalg.norm(total))
    return np.asarray(total / length if length else total, dtype=np.float32)
