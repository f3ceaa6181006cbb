"""Steps of several processes are those of one: gradients, penalties, norms, augmentation, classes, averages."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import one_of_several
from helpers.comparing import flat_tensors
from helpers.one_of_several import state_after

POINTS = ["data=gaussians", "generator.width=8", "disc.width=8", "batch_size=12"]
IMAGES = ["generator.width=4", "disc.width=4", "generator.latent_dim=3", "batch_size=8", "data.count=96"]
CASES = {
    "penalties": [*POINTS, "loss.r1_interval=2", "loss.r2_interval=3"],
    "gradient penalty, two steps of D, another batch of G": [
        *POINTS, "loss=wasserstein", "disc.steps=2", "generator.batch_size=20",
    ],
    "pixel norm and mirrored images": [*IMAGES, "generator.norm=pixel", "disc.norm=pixel"],
    "batch norms, twice differentiated": [
        *IMAGES, "generator.norm=batch", "disc.norm=batch", "loss.r1_interval=2", "loss.r2_interval=2",
    ],
    "classes, batch norms, adaptive augmentation": [
        *IMAGES, "generator.norm=batch", "generator.conditional=norm", "disc.conditional=projection",
        "augment=adaptive", "augment.adapt=r_t", "augment.adapt_kimg=1", "augment.p=0.5",
        "loss=nonsaturating", "generator.batch_size=12",
    ],
    "held-out images": [
        *IMAGES[:-1], "data=shapes_hard", "augment=adaptive", "augment.adapt=r_v", "augment.adapt_kimg=1",
        "augment.p=0.5",
    ],
}  # fmt: skip
ROUNDING = 1e-8  # of float64, 1e-16, times what eight steps and a norm of few samples amplify; a wrong share is 1e-2


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def states_of(count: int, cases: list[list[str]], folder: Path) -> list[list[dict]]:
    """Return the states of every case, of each process."""
    tests, port = Path(__file__).parents[1], free_port()
    program = [sys.executable, one_of_several.__file__]
    processes = [
        subprocess.Popen(
            [*program, str(number), str(count), str(port), str(folder / f"{number}.pt")],
            stdin=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(tests), "OMP_NUM_THREADS": "1"},
        )
        for number in range(count)
    ]  # fmt: skip
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(json.dumps(cases))
        process.stdin.close()
    assert [process.wait(300) for process in processes] == [0] * count
    return [torch.load(folder / f"{number}.pt") for number in range(count)]


@pytest.fixture(scope="module")
def alone() -> dict[str, dict]:
    return {name: state_after(overrides) for name, overrides in CASES.items()}


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_steps_are_those_of_one_process(alone, count, tmp_path):
    found = states_of(count, list(CASES.values()), tmp_path)
    for name, states in zip(CASES, zip(*found, strict=True), strict=True):
        expected = flat_tensors(alone[name])
        first = flat_tensors(states[0])
        assert first.keys() == expected.keys()
        for key, tensor in expected.items():
            where = f"{name}, {key}: {{}}".format
            torch.testing.assert_close(first[key], tensor, rtol=ROUNDING, atol=ROUNDING, msg=where)
        for state in states[1:]:
            assert all(torch.equal(tensor, first[key]) for key, tensor in flat_tensors(state).items()), name


def test_the_cases_do_what_they_say(alone):
    """Each reaches what it is there for: penalties, a moving p, running statistics."""
    assert {"r1", "r2"} <= alone["penalties"]["losses"].keys()
    assert "gp" in alone["gradient penalty, two steps of D, another batch of G"]["losses"]
    for name in ("classes, batch norms, adaptive augmentation", "held-out images"):
        assert 0 < float(alone[name]["augment_p"]) != 0.5, name
    norms = [key for key in alone["batch norms, twice differentiated"]["disc"] if key.endswith("running_var")]
    assert norms
