"""The smooth testbed of images: what is drawn, where, and the distances of classes."""

import itertools

import pytest
import torch
from scipy.optimize import minimize

from resgan.base.images import to_float
from resgan.data import shapes
from resgan.data.dataset import DataError


def masks(form: int, centres: torch.Tensor, **given) -> torch.Tensor:
    return shapes.masks(torch.full((len(centres),), form), centres, **given)


def uniform(count: int, low: float, high: float, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, 2, generator=generator, dtype=torch.float64)


# Drawing an image.


def orientation(mask: torch.Tensor) -> str:
    """Name the orientation of a mask (16, 16) by the covariance of its ink; rows count downwards."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    ink = mask / mask.sum()
    x, y = x - (ink * x).sum(), y - (ink * y).sum()
    spread_x, spread_y, together = ((ink * part).sum() for part in (x * x, y * y, x * y))
    if abs(together) > 2:
        return "diagonal" if together > 0 else "antidiagonal"  # as in a matrix: from the top left to the bottom right
    return "horizontal" if spread_x > spread_y else "vertical"


HUES = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue"}
HUES |= {(1, 1, 0): "yellow", (1, 0, 1): "magenta", (0, 1, 1): "cyan"}


def in_words(picture: torch.Tensor) -> str:
    """Name the class that a shape (3, 16, 16), uint8, shows."""
    ink = (to_float(picture)).abs().amax(0)
    middle = picture[:, ink == ink.max()][:, 0]
    return f"{orientation(ink)}-{HUES[tuple((middle > 128).long().tolist())]}"


def test_classes_say_what_they_show():
    data = shapes.load_shapes(size=16, count=240, withhold=False, seed=0)
    assert len(set(data.classes)) == 24
    for pictures, labels in ((data.train, data.labels), (data.holdout[:240], data.holdout_labels[:240])):
        assert labels.dtype == torch.int64
        assert [in_words(picture) for picture in pictures] == [data.classes[label] for label in labels]


def test_a_mask_by_hand():
    """Check a bar along x at (7, 8): half ink on its edges, 1.51 above and below, 4.3 left and right."""
    [mask] = masks(0, torch.tensor([[7.0, 8.0]]))
    assert mask[8, 7] == pytest.approx(float(torch.sigmoid(torch.tensor(shapes.HALF_WIDTH / 0.5))))
    assert mask[6, 7] == pytest.approx(float(torch.sigmoid(torch.tensor((shapes.HALF_WIDTH - 2) / 0.5))))
    assert mask[8, 12] == pytest.approx(float(torch.sigmoid(torch.tensor((4.3 - 5) / 0.5))))
    assert torch.equal(mask, masks(1, torch.tensor([[8.0, 7.0]]))[0].T)
    centre = torch.tensor([[7.5, 7.5]])
    assert torch.allclose(masks(2, centre)[0], masks(3, centre)[0].flip(1), atol=1e-6)


@pytest.mark.parametrize("form", range(4))
def test_all_forms_have_the_same_energy(form):
    """Check that the mean energy over sub-pixel centres is the integral over the plane, 18 for every orientation."""
    line = torch.arange(6.5, 7.5, 1 / 32, dtype=torch.float64)
    energy = masks(form, torch.cartesian_prod(line, line)).square().sum((1, 2))
    # The centre is in the middle, so that nothing is cut off: exact, up to the kinks of the corners.
    assert energy.mean().item() == pytest.approx(18, abs=2e-3)
    assert energy.min() > 17.7  # a centre on the grid and one beside it differ by 4 % at the most
    assert energy.max() < 18.6


def test_every_colour_is_as_far_from_the_ground():
    assert shapes.colours().shape == (6, 3)
    assert (shapes.colours().abs() == 1).all()
    assert ((shapes.colours() + 0.0).sum(1).abs() == 1).all()  # neither black nor white
    assert len({tuple(colour) for colour in shapes.colours().tolist()}) == 6


@pytest.mark.parametrize("form", range(4))
def test_slopes_are_the_derivatives_of_masks(form):
    centres, h = uniform(50, 4.5, 10.5), 1e-5
    found = shapes.slopes(torch.full((50,), form), centres)
    for axis in (0, 1):
        step = h * torch.eye(2, dtype=torch.float64)[axis]
        expected = (masks(form, centres + step) - masks(form, centres - step)) / (2 * h)
        # Except at the kinks, where the nearest edge changes: a few of 12,800 pixels lie within h of one.
        far = (found[:, axis] - expected).abs() > 1e-6
        assert far.sum() <= 5


@pytest.mark.parametrize("size", [32, 48])
def test_other_sizes_draw_the_same_more_finely(size):
    """Check that the mean ink, and the place of its middle in base pixels, do not depend on the size."""
    times = size // 16
    centres = uniform(20, 7, 8).float()
    for form in range(4):
        small, large = masks(form, centres), masks(form, centres, size=size)
        assert large.shape == (20, size, size)
        # Softness is half a base pixel, so sums over either grid are the integral to a few in a thousand.
        torch.testing.assert_close(large.sum((1, 2)) / times**2, small.sum((1, 2)), rtol=0.01, atol=0)
        place = (torch.arange(size) + 0.5) / times - 0.5
        middle = (large.sum(1) * place).sum(1) / large.sum((1, 2))
        torch.testing.assert_close(middle, centres[:, 0], rtol=0, atol=0.02)


@pytest.mark.parametrize("size", [20, 8, 0])
def test_wrong_size(size):
    with pytest.raises(DataError, match=rf"data\.size={size}: .*16"):
        shapes.load_shapes(size=size, count=24, withhold=False, seed=0)


# Distances of classes.


def smallest_distance(one: int, other: int) -> float:
    """Search over both centres of two forms of one colour: on a grid of an eighth of a pixel, then in between."""
    line = torch.linspace(shapes.LOW, shapes.HIGH, 49, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    on_grid = torch.cdist(masks(one, grid).flatten(1), masks(other, grid).flatten(1))
    first, second = divmod(int(on_grid.argmin()), len(grid))

    def distance(places) -> float:
        a, b = torch.tensor(places).view(2, 1, 2).clamp(shapes.LOW, shapes.HIGH)
        return float((masks(one, a) - masks(other, b)).norm())

    start = torch.cat([grid[first], grid[second]]).numpy()
    found = minimize(distance, start, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-8}).fun
    assert found <= on_grid.min()
    return 3**0.5 * found  # three channels


def test_no_two_classes_are_closer_than_two_tau():
    distances = {pair: smallest_distance(*pair) for pair in itertools.combinations(range(4), 2)}
    smallest = min(distances.values())
    assert smallest == pytest.approx(5.555, abs=2e-3)
    assert pytest.approx(0.95 * smallest / 2, abs=2e-3) == shapes.TAU
    # By symmetry all straight bars are equally far from all oblique ones; crossed bars are further apart.
    assert [d == pytest.approx(5.555, abs=2e-3) for d in distances.values()] == [False, True, True, True, True, False]
    assert min(distances[0, 1], distances[2, 3]) > 7


def test_colours_of_one_form_are_further_apart_than_forms():
    """Use |m a - n b|^2 = 3 |m|^2 + 3 |n|^2 - 2 (a . b) m . n, where a . b is 1 at the most."""
    line = torch.linspace(shapes.LOW, shapes.HIGH, 25, dtype=torch.float64)
    hues = shapes.colours().double() @ shapes.colours().double().T
    assert hues.fill_diagonal_(-3).max() == 1
    for form in range(4):
        known = masks(form, torch.cartesian_prod(line, line)).flatten(1)
        energy = 3 * known.square().sum(1)
        squares = energy.view(-1, 1) + energy - 2 * known @ known.T
        assert 8.3 < squares.min().sqrt() < 8.6


# Training data.


@pytest.mark.parametrize("count", [24, 100, 6000])
def test_classes_are_balanced_as_far_as_the_count_allows(count):
    data = shapes.load_shapes(size=16, count=count, withhold=False, seed=3)
    assert len(data.train) == len(data.labels) == count
    counts = torch.bincount(data.labels, minlength=24)
    assert counts.min() == count // 24
    assert counts.max() == -(-count // 24)
    assert count == 24 or not torch.equal(data.labels[:24], data.labels[24:48])  # in random order


def test_seeds_change_what_is_trained_on_and_not_what_is_compared_with():
    one, same, other = (shapes.load_shapes(size=16, count=48, withhold=False, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.train, same.train)
    assert not torch.equal(one.train, other.train)
    assert not torch.equal(one.holdout, other.holdout)
    assert torch.equal(one.reference, other.reference)
    assert (one.name, one.split, len(one.holdout), len(one.reference)) == ("smooth_shapes16", "draws", 2000, 10_000)
    seen = {bytes(picture.numpy()) for picture in one.train}
    assert not seen & {bytes(picture.numpy()) for picture in itertools.chain(one.holdout, one.reference)}


def test_centres_are_uniform_in_the_square():
    labels = torch.zeros(20_000, dtype=torch.int64)
    centres = shapes.draw_centres(labels, torch.Generator().manual_seed(0))
    assert centres.min() >= 4.5
    assert centres.max() <= 10.5
    cells = ((centres - 4.5) / 0.75).long().clamp(max=7)
    counts = torch.bincount(cells[:, 0] * 8 + cells[:, 1], minlength=64)
    # Chi-squared with 63 degrees of freedom: mean 63, standard deviation 11.2.
    assert ((counts - 312.5) ** 2 / 312.5).sum() < 63 + 5 * 11.2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_quadrant_of_each_class_is_withheld_and_every_pair_is_seen(seed):
    withheld = shapes.withheld_quadrants(seed)
    assert withheld.shape == (24,)
    shown = {(k // 6, k % 6, q) for k in range(24) for q in range(4)} - {
        (k // 6, k % 6, q) for k, q in enumerate(withheld.tolist())
    }
    assert len(shown) == 72
    pairs = [{(t[a], t[b]) for t in shown} for a, b in ((0, 1), (0, 2), (1, 2))]
    assert [len(pair) for pair in pairs] == [24, 16, 24]
    assert torch.bincount(withheld).tolist() == [6, 6, 6, 6]
    data = shapes.load_shapes(size=16, count=24, withhold=True, seed=seed)
    assert len(data.train) == 24
    for labels in (torch.arange(24).repeat(200), torch.tensor([5])):
        centres = shapes.draw_centres(labels, torch.Generator().manual_seed(seed), withheld=withheld)
        assert (shapes.quadrants(centres) != withheld[labels]).all()
    # The three quadrants shown are equally likely: 1,600 of 4,800, with a standard deviation of 33.
    centres = shapes.draw_centres(torch.full((4800,), 7), torch.Generator().manual_seed(seed), withheld=withheld)
    counts = torch.bincount(shapes.quadrants(centres), minlength=4)
    assert counts[withheld[7]] == 0
    assert sorted(counts.tolist())[1] > 1600 - 5 * 33


def test_withholding_is_arranged_by_seed():
    assert len({tuple(shapes.withheld_quadrants(seed).tolist()) for seed in range(5)}) == 5


def test_quadrants_as_drawn():
    corners = torch.tensor([[5.0, 5.0], [10.0, 5.0], [5.0, 10.0], [10.0, 10.0]])  # (x, y): above left, above right, ...
    assert shapes.quadrants(corners).tolist() == [0, 1, 2, 3]
