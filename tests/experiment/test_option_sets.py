"""Any set of options is refused in one line with nothing made, trains, or diverges: never a traceback.

`scripts/fuzz_options.py` does the same with thousands of sets, each in a process of its own.
"""

from pathlib import Path

import pytest
from helpers.option_sets import fields_for, numbers_in, option_sets
from hypothesis import HealthCheck, Phase, given, settings

from resgan.base.errors import UserError
from resgan.cli.compose import configure
from resgan.experiment.session import EXIT_DIVERGED, train
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions

EASY = {"deadline": None, "database": None, "derandomize": True, "phases": [Phase.generate]}
EASY["suppress_health_check"] = list(HealthCheck)


def outcome(words: list[str], place: Path) -> tuple[str, str]:
    """Return how a line ended, and what it said."""
    try:
        options = configure(*words)
        assert isinstance(options, TrainOptions)
        train(options.with_values({"run_dir": str(place / "run")}), Job(words, words, None))
    except UserError as error:
        return ("refused" if not list(place.iterdir()) else "refused late"), str(error)
    except SystemExit as ended:
        return ("diverged" if ended.code == EXIT_DIVERGED else "ended"), str(ended)
    return "trained", ""


def several(tmp_path_factory: pytest.TempPathFactory, count: int) -> list[str]:
    found: list[str] = []

    @settings(max_examples=count, **EASY)
    @given(option_sets())
    def draw(words: list[str]) -> None:
        how, said = outcome(words, tmp_path_factory.mktemp("set"))
        assert how in ("refused", "trained", "diverged"), said
        assert len(said.splitlines()) <= 1
        assert len(said) < 1000
        found.append(how)

    draw()
    return found


def test_any_set_of_options_is_refused_trains_or_diverges(tmp_path_factory):
    found = several(tmp_path_factory, 15)
    assert {"refused", "trained"} <= set(found)


@pytest.mark.slow
def test_so_do_many_sets(tmp_path_factory):
    found = several(tmp_path_factory, 400)
    assert {"refused", "trained", "diverged"} <= set(found)


def test_sets_are_drawn_over_all_numbers_of_a_network():
    names = {name for name, field in fields_for("lab").items() if numbers_in(field)}
    assert {"generator.blocks", "disc.layer_scale", "loss.r1", "batch_size", "data.count", "metrics.samples"} <= names
