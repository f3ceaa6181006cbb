"""The page of promises: every row names a test, and every test that it names exists, slow where the page says so."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`( \(slow\))?")
ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| (?!promise)", line)]


@cache
def functions_of(path: str) -> dict[str, bool]:
    """Return the tests of a file; True where one is marked slow as a whole."""
    found = [node for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)]
    return {
        node.name: any(ast.unparse(mark) == "pytest.mark.slow" for mark in node.decorator_list)
        for node in found
        if node.name.startswith("test_")
    }


def test_there_are_rows():
    assert len(ROWS) > 15
    assert len(NAMED.findall(PAGE)) == PAGE.count("::")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_promise_has_a_test_that_exists(row):
    named = NAMED.findall(row[1])
    assert named or re.fullmatch(r".*`(?:bash )?(?:\.ci/run|scripts/\w+\.sh.*)`", row[1]), row
    for path, name, slow in named:
        assert name in functions_of(path), f"{path}::{name}"
        assert bool(slow) == functions_of(path)[name], f"{path}::{name}"
