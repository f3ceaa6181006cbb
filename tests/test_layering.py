"""Imports point downwards: the contracts of import-linter in pyproject.toml."""

from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_imports_point_downwards():
    settings = Path(__file__).resolve().parent.parent / "pyproject.toml"
    assert lint_imports(config_filename=str(settings), no_cache=True) == EXIT_STATUS_SUCCESS
