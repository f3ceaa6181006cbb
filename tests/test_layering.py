"""Imports point downwards, by the contracts of import-linter in pyproject.toml; linters and git see every file."""

import subprocess
import sys
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parent.parent


def test_imports_point_downwards():
    settings = ROOT / "pyproject.toml"
    assert lint_imports(config_filename=str(settings), no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_file_of_the_package_is_hidden_from_the_linter():
    """Usual settings would hide folders called build, dist or venv."""
    shown = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "resgan"], cwd=ROOT, capture_output=True, text=True
    )
    found = {Path(line).resolve() for line in shown.stdout.splitlines()}
    assert found == {*(ROOT / "resgan").rglob("*.py"), *(ROOT / "resgan").rglob("*.pyi")}
