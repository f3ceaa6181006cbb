"""A run or study that began with earlier defaults is finished with them."""

import pytest
import yaml
from helpers.options import nested, options_of

from resgan.base.plain_data import flat
from resgan.experiment.session import find_begun, runs_in
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import RunError
from resgan.runs.history import ADDED

THEN = {"data.name": "shapes", "generator.join": "sum", "disc.join": "sum", "generator.norm": "pixel",
        "disc.norm": "pixel", "batch_size": 8, "total_kimg": 40, "loss.r1": 0.1, "loss.r2": 0.1,
        "score_kimg": 10, "sample_kimg": 10, "save_kimg": 10, "trainer.precision": "32-true"}  # fmt: skip
GONE = ("data.count", "data.withhold", *(row.option for row in ADDED))


def options(*overrides: str) -> TrainOptions:
    values = options_of(*overrides)
    return check(TrainOptions, {name: value for name, value in values.items() if name != "experiment"})


def write_earlier_config(folder) -> None:
    """The config.yaml of a run at the defaults of 770148d, before any option in the history was there."""
    config = {name: value for name, value in (flat(options().model_dump()) | THEN).items() if name not in GONE}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(nested(config)))


def goes_on_with(folder, *overrides: str, sweep: bool) -> TrainOptions:
    one = options(*overrides)
    job = Job(overrides=list(overrides), arguments=[], sweep_dir=folder.parent if sweep else None)
    [found], _ = find_begun([(one, runs_in(folder, one, job)[one.seed])], job)
    return found


def are_earlier(found: TrainOptions) -> bool:
    lab = (found.generator.join, found.generator.norm, found.generator.norm_place, found.generator.fan_in)
    return (found.data.name, found.batch_size, found.total_kimg, lab) == (
        "shapes_hard", 8, 40, ("sum", "pixel", "branch", "nominal")
    )  # fmt: skip


def test_a_run_goes_on_as_it_began_whatever_its_command_named_by_its_old_name(tmp_path):
    write_earlier_config(tmp_path / "run")
    assert are_earlier(goes_on_with(tmp_path / "run", sweep=False))
    assert are_earlier(goes_on_with(tmp_path / "run", "data=shapes", sweep=False))
    assert goes_on_with(tmp_path / "new", sweep=False) == options()


@pytest.mark.parametrize("asked", ["generator.join=stable", "experiment=headline/stable", "data=gaussians"])
def test_what_is_typed_or_set_by_a_typed_experiment_is_not_replaced_but_refused(tmp_path, asked):
    write_earlier_config(tmp_path / "run")
    with pytest.raises(RunError, match="belongs to another configuration"):
        goes_on_with(tmp_path / "run", asked, sweep=False)


def test_an_arm_that_begins_beside_an_earlier_one_is_made_as_that_was(tmp_path):
    write_earlier_config(tmp_path / "study" / "generator.residual-true" / "0")
    begun_now = goes_on_with(tmp_path / "study" / "generator.residual-false", "generator.residual=false", sweep=True)
    assert are_earlier(begun_now)
    assert not begun_now.generator.residual
    elsewhere = goes_on_with(tmp_path / "other" / "generator.residual-false", "generator.residual=false", sweep=True)
    assert elsewhere == options("generator.residual=false")
