"""Samples beside their targets: points read back from the plots of training, and the modes on the axes."""

import inspect

import numpy as np
import pytest
import torch
from helpers.made_runs import make_study

from resgan.base.images import save_png, scatter, to_image
from resgan.data import gaussians, modes
from resgan.report import samples
from resgan.report.panels import panels
from resgan.report.records import read_runs


def test_points_are_read_where_training_drew_them(tmp_path):
    """To one pixel and a half of 256 over 10; right and up are not mixed up."""
    points = torch.tensor([[-4.0, 3.0], [0.5, -2.0], [4.9, 4.9], [7.0, 0.0]])  # the last lies outside
    save_png(to_image(points), tmp_path / "points.png")
    found = samples.points_of(tmp_path / "points.png")
    for x, y in points[:3].numpy():
        near = np.abs(found - [x, y]).max(1) < 0.06
        assert near.sum() == 4  # each point is enlarged to two pixels by two
    assert len(found) == 12
    assert inspect.signature(scatter).parameters["limit"].default == samples.LIMIT


@pytest.mark.parametrize("number", [9, 25])
def test_the_modes_on_the_axes_are_those_of_the_data(number):
    line = torch.tensor(modes.line_of_modes(number))
    assert torch.equal(gaussians.centres(number), torch.cartesian_prod(line, line))


def test_targets_stand_beside_points_on_axes(tmp_path):
    [panel] = panels(read_runs([make_study(tmp_path, seeds=1, picture=True)]))
    figure = samples.grids(panel, "x")
    assert figure is not None
    assert figure.alt == (
        "Last samples of every arm on the same latents. Circles: the 9 target modes, to 3 standard deviations; "
        "a sample inside one is valid"
    )
    assert figure.svg is not None
    drawn = figure.svg.decode()
    for word in ("first coordinate", "second coordinate", "plain", "residual D", "residual G", "both"):
        assert word in drawn
    save_png(scatter(torch.zeros(1, 2)), tmp_path / "g0d0" / "0" / "samples" / "reals.png")
    beside = samples.grids(panel, "x")
    assert beside is not None
    assert beside.alt.startswith("Last samples of every arm on the same latents, beside real ones. Circles")
