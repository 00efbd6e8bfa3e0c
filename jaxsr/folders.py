"""Where files of the user lie."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder on this platform; XDG_CACHE_HOME wins everywhere.

    Raises:
        RuntimeError: a user without a home.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / "Library" / "Caches" if sys.platform == "darwin" else Path.home() / ".cache"
