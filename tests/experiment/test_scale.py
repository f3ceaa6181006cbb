"""Plans for a cluster: closed forms of time, devices, memory, disk and cost, and what is timed."""

import functools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.options import TINY, options_of

from resgan.base.errors import OptionsError
from resgan.builders.components import build_components
from resgan.experiment import scale
from resgan.experiment.plan import Cost, seconds_of_step, stack_key
from resgan.experiment.scale import Kind, Measured, Work
from resgan.experiment.study import Study
from resgan.options.conf import read_file
from resgan.options.plan import ClusterOptions
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training import checkpoints


def cluster(**values) -> ClusterOptions:
    here = {name.partition(".")[2]: value for name, value in read_file("cluster", "here").values.items()}
    return check(ClusterOptions, here | values)


def works(*seconds: float, **more) -> list[Work]:
    return [Work(one, **more) for one in seconds]


@functools.cache
def composed() -> TrainOptions:
    return check(TrainOptions, options_of(*TINY))


def options(**values) -> TrainOptions:
    """Return the options of a tiny run with some changed, `__` for the dot in their names."""
    return composed().with_values({name.replace("__", "."): value for name, value in values.items()})


# Time.


@pytest.mark.parametrize(("devices", "seconds", "expected"), [
    (1, (3, 1, 2), 6),
    (2, (5, 4, 3, 3, 3), 10),  # 5 + 3 and 4 + 3 + 3; the best is 9: longest first is not always best
    (2, (3, 3, 2, 2, 2), 7),  # Graham's example: the best is 6
    (3, (7, 1, 1), 7),
    (8, (1,) * 17, 3),
])  # fmt: skip
def test_the_makespan_of_examples_worked_by_hand(devices, seconds, expected):
    assert scale.makespan(works(*seconds), cluster(devices=devices)) == expected
    assert scale.makespan(works(*seconds[::-1]), cluster(nodes=devices)) == expected


def test_jobs_side_by_side_on_a_device():
    assert scale.makespan(works(4, 3, 2, 1), cluster(devices=1, jobs=2)) == 5
    assert scale.device_seconds(Work(4), cluster(devices=1, jobs=2)) == 2


def test_a_run_on_several_devices_has_them_at_once_and_to_itself():
    """Two devices: both for 4 s, beside which nothing has room, then 3 s and 2 s side by side."""
    jobs = [*works(4, devices=2), *works(3, 2)]
    assert scale.makespan(jobs, cluster(devices=2)) == 4 + 3
    assert scale.makespan(jobs, cluster(devices=2, jobs=2)) == 4 + 3
    assert scale.makespan(jobs, cluster(devices=3)) == 5  # the third device meanwhile: 3, then 2
    assert scale.device_seconds(jobs[0], cluster(devices=2, jobs=2)) == 8
    # Two machines of two devices: one device of each takes the same as both of one.
    assert scale.makespan([Work(4, devices=2), Work(4, nodes=2)], cluster(nodes=2, devices=2)) == 8
    assert scale.makespan([Work(4, devices=2), Work(4, devices=2)], cluster(nodes=2, devices=2)) == 4


def test_jobs_that_end_at_once_make_room_for_one_on_several_devices():
    """Devices are free after 7, 5 and 5 s. The job for two of them goes first, from 5 to 9, the last from 7 to 10."""
    jobs = [*works(7, 5, 5), Work(4, devices=2), *works(3)]
    assert scale.makespan(jobs, cluster(devices=3)) == 10


def test_a_limit_cuts_long_jobs():
    """11 h with a limit of 4 h: 4 + 4 + 3. Of which 1 h is before the first step, again in each: 4 + 4 + 4 + 2."""
    hour = 3600
    four = cluster(hours=4)
    for start, count in ((0, 3), (1, 4)):
        work = Work(11 * hour, start=start * hour)
        assert scale.jobs_needed(work, 4 * hour) == count
        whole = (11 + (count - 1) * start) * hour
        assert scale.device_seconds(work, four) == whole
        assert scale.makespan([work], four) == whole
        assert scale.makespan([work, work], four) == 2 * whole
    assert scale.jobs_needed(Work(4 * hour), 4 * hour) == 1
    assert scale.jobs_needed(Work(4 * hour, start=5 * hour), 4 * hour) == 1
    assert scale.jobs_needed(Work(1e9), math.inf) == 1
    with pytest.raises(OptionsError, match=r"cluster\.hours=4: expected more than 5"):
        scale.jobs_needed(Work(9 * hour, start=5 * hour), 4 * hour)


def test_the_rest_of_a_cut_job_waits_with_the_others():
    """One device, a limit of 4 h, jobs of 6 h and 5 h: 4, 4, then the rest of 2 and of 1; each needs no other."""
    hour = 3600
    assert scale.makespan(works(6 * hour, 5 * hour), cluster(hours=4)) == 11 * hour
    # Two devices: the rests of 2 h and 1 h go beside each other, after the third job of 3 h has taken a device.
    jobs = works(6 * hour, 5 * hour, 3 * hour)
    assert scale.makespan(jobs, cluster(hours=4, devices=2)) == (4 + 3) * hour


def kind(one: TrainOptions, *, size: int = 1, generator: int = 1000, disc: int = 100, cost: Cost | None = None) -> Kind:
    cost = cost or Cost(start=2.0, step=0.5, steps=100, scoring=3.0, scorings=4)
    return Kind(cost, {"generator": generator, "disc": disc}, {"generator": 3_000_000, "disc": 4_000_000}, one, size)


def test_a_run_of_several_devices_and_a_faster_cluster():
    """2 s to begin, 100 steps of 0.5 s and 4 scorings of 3 s: 64 s, of which 62 s are shared."""
    assert kind(options()).cost.seconds == 64
    assert scale.work_of([(1, kind(options()))], 1.0) == Work(64, start=2)
    shared = options(trainer__devices=2)
    assert scale.work_of([(1, kind(shared))], 1.0) == Work(2 + 31, start=2, devices=2)
    assert scale.work_of([(1, kind(shared))], 10.0) == Work(3.3, start=0.2, devices=2)
    search = [(8.5, kind(options(), size=16)), (3, kind(options(), size=3))]
    assert scale.work_of(search, 1.0) == Work(11.5 * 64, start=16 * 2)


def test_the_cost_is_the_price_of_the_device_hours():
    """Three jobs of 2 h, one of them on two devices: 8 device hours."""
    jobs = [Work(7200), Work(7200), Work(7200, devices=2)]
    row = scale.cost_row(jobs, cluster(devices=2, price=1.25, currency="EUR"))
    assert (row.value, row.source) == ("10.00 EUR", "computed")
    assert scale.cost_row(jobs, cluster(devices=2)).value == "unknown"
    assert scale.cost_row(jobs, cluster(devices=2, price=0)).value == "0.00 USD"


# Memory and disk.


def bytes_of(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def test_memory_and_checkpoints_are_those_of_a_run(tmp_path):
    """Count all tensors of a GAN that has made a step, and the file of its state."""
    one = options(generator__width=64, disc__width=48)
    components = build_components(one)
    gan = components.gan
    seconds_of_step([one], components)
    held = bytes_of([*gan.generator.parameters(), *gan.disc.parameters(), *gan.generator_ema.parameters()])
    held += bytes_of(p.grad for p in gan.parameters() if p.grad is not None)
    moments = [s[name] for adam in gan.configure_optimizers() for s in adam.state.values()
               for name in ("exp_avg", "exp_avg_sq")]  # fmt: skip
    found = kind(one, **components.counts["parameters"])
    assert scale.memory_of_training(found) == held + bytes_of(moments)
    assert scale.memory_of_training(replace(found, size=3)) == 3 * (held + bytes_of(moments))
    checkpoints.save(tmp_path / "one.ckpt", gan.training_state())
    file = (tmp_path / "one.ckpt").stat().st_size
    assert scale.bytes_of_checkpoints(found) == pytest.approx(4 * file, rel=0.2)  # with their headers
    assert scale.bytes_of_checkpoints(found) < 4 * file


@pytest.mark.parametrize(("save_kimg", "files"), [(0, 3), (3, 3), (1, 4)])
def test_checkpoints_at_the_end(save_kimg, files):
    """Final, best and last; the one before only where something was saved before the end, at 3 kimg."""
    found = kind(options(save_kimg=save_kimg), generator=1000, disc=100)
    assert scale.bytes_of_checkpoints(found) == files * 4 * (4000 + 300)


def test_the_memory_of_this_process_grows_with_what_it_holds():
    before = scale.peak_memory("cpu")
    assert before > 50e6  # torch alone
    held = torch.ones(before // 4)  # as many bytes as all that was held at any time
    assert held.nbytes < scale.peak_memory("cpu")
    assert before < scale.peak_memory("cpu") < 3 * before


# Jobs.


def study(*each: TrainOptions, words: list[list[str]] | None = None, **more) -> Study:
    words = words or [[str(number)] for number in range(len(each))]
    return Study("x", Path("x"), list(zip(words, each, strict=True)), 1, **more)


def shape_of(jobs) -> list[list[tuple[int, float]]]:
    return [[(len(part.stack), part.runs) for part in parts] for parts in jobs]


def test_what_is_a_job():
    seeds = [options(seed=seed) for seed in range(4)]
    assert shape_of(scale.jobs_of(study(*seeds))) == [[(1, 1)]] * 4
    together = study(*seeds, words=[["a"], ["a"], ["b"], ["b"]], seeds_of_job=2)
    assert shape_of(scale.jobs_of(together)) == [[(2, 2)]] * 2
    assert shape_of(scale.jobs_of(study(*seeds, stack_size=3))) == [[(3, 3)], [(1, 1)]]


def test_a_replicate_is_one_job():
    """Four candidates at a quarter of the length and two in full, three runs' worth; then five fresh seeds."""
    search = {"tuning.candidates": 4, "tuning.keep": 2, "tuning.rungs": [0.25, 1.0], "tuning.fresh_seeds": 5}
    fresh = options().with_values({"replicate": 0, **search}).each_seed()
    words = [["replicate=0"]] * 5
    assert shape_of(scale.jobs_of(study(*fresh, words=words))) == [[(1, 3), (1, 5)]]
    assert shape_of(scale.jobs_of(study(*fresh, words=words, stack_size=2))) == [[(2, 3), (2, 5)]]
    untuned = [one.with_values({"tuning.candidates": 0}) for one in fresh]
    assert shape_of(scale.jobs_of(study(*untuned, words=words, stack_size=8))) == [[(5, 5)]]


def test_more_devices_than_there_are():
    for asked, there, says in (
        ({"trainer__devices": 2}, cluster(nodes=2), r"trainer\.devices=2: expected at most cluster\.devices=1"),
        ({"trainer__nodes": 2}, cluster(devices=8), r"trainer\.nodes=2: expected at most cluster\.nodes=1"),
    ):
        with pytest.raises(OptionsError, match=says):
            scale.check_devices(study(options(**asked)), there)
    scale.check_devices(
        study(options(trainer__devices=2, trainer__nodes=2, batch_size=48)), cluster(nodes=2, devices=2)
    )


# What is said.


def lines(there: ClusterOptions, *, seconds: float = 7200.0, memory: int = 2_000_000_000) -> list[str]:
    one, other = options(), options(disc__blocks=2)
    cost = Cost(start=0.0, step=seconds / 1000, steps=1000, scoring=0.0, scorings=2)
    kinds = {
        stack_key([one]): kind(one, cost=cost),
        stack_key([other]): kind(other, cost=replace(cost, step=2 * cost.step)),
    }
    found = study(one, options(seed=1), other)
    return scale.plan_lines(found, scale.jobs_of(found), Measured(kinds, "cpu, 1 thread", memory, 5**12), there)


def figures(found: list[str]) -> dict[str, tuple[str, str]]:
    """Read the table: name -> (value, source)."""
    rows = [line[2:] for line in found if line.startswith("  ")]
    split = [[part for part in row.split("  ") if part.strip()] for row in rows]
    return {row[0].strip(): (row[1].strip(), row[2].strip()) for row in split}


def test_every_figure_says_where_it_comes_from():
    there = cluster(devices=2, hours=3, memory_gb=4, price=2.0, speed=2.0)
    table = figures(lines(there))
    assert {source for _, source in table.values()} == {"measured", "computed", "given"}
    assert table["a step of a run"] == ("7,200 to 14,400 ms", "measured")
    assert table["a sample"] == ("7 MFLOP", "computed")
    assert table["the longest run"] == ("2 h 0 min", "computed")  # 4 h at twice the speed
    assert table["device hours"] == ("4", "computed")  # 1 + 1 + 2
    assert table["from start to end"] == ("2 h 0 min", "computed")
    assert table["memory of a job"] == ("2 GB", "measured")
    assert table["of that, training"][1] == table["checkpoints"][1] == "computed"
    assert table["cost"] == ("8.00 USD", "computed")
    assert table["speed there"] == ("2", "given")


def test_what_the_figures_do_not_say():
    assert not [line for line in lines(cluster(devices=2, memory_gb=2))[1:] if not line.startswith("  ")]
    assert lines(cluster(devices=2, memory_gb=1.9))[-1] == "does not fit: a device has 1.9 GB, and 2 GB are needed"
    assert lines(cluster(jobs=2, memory_gb=3))[-1] == "does not fit: a device has 3 GB, and 4 GB are needed for 2 jobs"
    says = "needs no cluster: one job after the other takes 40 min on this machine (computed)"
    assert lines(cluster(devices=2), seconds=600)[-1] == says
    assert says not in lines(cluster(), seconds=600)
    assert [line for line in lines(cluster(hours=1.5)) if line.endswith("the limit makes 7 jobs of 3")]  # 2 + 2 + 3


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 kB"), (999_400, "999 kB"), (1e6, "1 MB"), (2.5e9, "2.5 GB"), (3.2e13, "32,000 GB"),
])  # fmt: skip
def test_bytes_are_formatted(count, text):
    assert scale.format_bytes(count) == text


def test_a_plan_times_each_kind_once(capsys, monkeypatch):
    """Two seeds of two kinds; what is timed is the clock's."""
    timed = []
    monkeypatch.setattr(scale, "cost_of_run", lambda stack, components, *, start: (
        timed.append(len(stack)), Cost(start=0.0, step=0.01, steps=60, scoring=0.0, scorings=4))[1])  # fmt: skip
    each = [options(seed=seed, disc__blocks=blocks) for seed in (0, 1) for blocks in (1, 2)]
    scale.plan(scale.PlanOptions(cluster=cluster(devices=2)), study(*each))
    table = figures(capsys.readouterr().out.splitlines())
    assert timed == [1, 1]
    assert table["a step of a run"] == ("10 ms", "measured")
    assert table["device hours"] == ("0.000667", "computed")  # 4 x 0.6 s
