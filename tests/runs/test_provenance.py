"""The record of a session, which says what code made a run."""

import subprocess
from pathlib import Path

import pytest

import resgan
from resgan.runs.provenance import git_state

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_commit_is_that_of_the_checkout_the_package_lies_in():
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    state = git_state()
    assert state is not None
    assert state["commit"] == head.stdout.strip()
    assert isinstance(state["dirty"], bool)


def test_without_a_checkout_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(resgan, "__file__", str(tmp_path / "resgan" / "__init__.py"))
    assert git_state() is None
