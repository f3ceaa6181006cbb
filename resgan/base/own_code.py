"""User-defined code, named as file.py:NAME. It is executed, since the user names it explicitly."""

import importlib.util
from pathlib import Path
from typing import Any

from resgan.base.console import one_line
from resgan.base.errors import UserError


def load_named(where: str | None, *, option: str, error: type[UserError]) -> tuple[Any, Path]:
    """Return the object NAME of file.py, and the file. Raises `error`, in one line, if it is missing or fails."""
    file, _, name = (where or "").rpartition(":")
    path = Path(file).expanduser()
    if not file or not name.isidentifier() or not path.is_file():
        raise error(f"{option}={where}: expected file.py:NAME of a file that exists")
    try:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        code = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(code)
        return getattr(code, name), path
    except Exception as cause:  # whatever the code raises
        raise error(f"{option}={where}: {describe(cause)}") from cause


def describe(cause: Exception) -> str:
    return f"{type(cause).__name__}: {one_line(cause)}"
