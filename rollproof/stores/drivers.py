"""Importing modules that need a store's driver, which the environment may lack."""

from __future__ import annotations

import sys
import threading
import warnings
from pkgutil import resolve_name
from typing import Any

from rollproof.errors import Unverifiable
from rollproof.home import install_hint

# Stores are asked side by side. Two threads that import one driver may each meet a half of it.
_IMPORTING = threading.RLock()


def at_place(place: str) -> Any:  # noqa: ANN401 - whatever a descriptor names
    """Import the module at `place`, ``package.module:Name``, and return the named object.

    Raises:
        Unverifiable: a package that it imports, such as its store's driver, is not installed.
    """
    try:
        with _IMPORTING, warnings.catch_warnings():
            # Kafka's library calls what Python 3.11 says is deprecated, and 3.13 no more.
            warnings.simplefilter("ignore", DeprecationWarning)
            return resolve_name(place)
    except ModuleNotFoundError as error:
        package = (error.name or place).partition(".")[0]
        if package == place.partition(".")[0]:
            raise
        raise Unverifiable(
            what=place.partition(":")[0],
            expected=f"the package {package}",
            observed="none",
            source=f"the environment {sys.prefix}",
            hint=install_hint(),
        ) from None
