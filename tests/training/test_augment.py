"""Augmentation, compared with a second implementation in plain loops and its own laws; and the adaptive p."""

import math

import numpy as np
import pytest
import torch
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training import augment as module
from resgan.training.augment import OPERATIONS, adapted, augment, r_t, r_v
from resgan.training.losses import LOSSES
from resgan.training.penalties import zero_centred

ALL = tuple(OPERATIONS)
MANY = 4000  # images, for measuring a share
each = pytest.mark.parametrize("name", ALL)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, dtype=torch.float32):
    return torch.rand(shape, generator=generator(99), dtype=torch.float64).mul(2).sub(1).to(dtype)


def shown(images, *operations, p=1.0, seed=0):
    return augment(images, operations=operations, p=p, random=generator(seed))


def changed(images, *operations, p, seed=0):
    """Return which images have changed, (N,)."""
    return (shown(images, *operations, p=p, seed=seed) != images).flatten(1).any(1)


def spread(share, count=MANY):
    """Return 4 standard deviations of a share of `count` images, each included with probability `share`."""
    return 4 * math.sqrt(share * (1 - share) / count)


# A second implementation, one image and one pixel at a time.


def shifted(image, u):
    out = np.zeros_like(image)
    (height, width), shift = image.shape[1:], []
    for side, number in ((height, u[0]), (width, u[1])):
        most = math.floor(side / 8 + 0.5)
        shift.append(range(-most, most + 1)[math.floor(number * (2 * most + 1))])
    for y in range(height):
        for x in range(width):
            if 0 <= y + shift[0] < height and 0 <= x + shift[1] < width:
                out[:, y + shift[0], x + shift[1]] = image[:, y, x]
    return out


def coloured(image, u):
    out = image + (u[0] - 0.5)
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            mean = sum(out[:, y, x]) / len(out)
            out[:, y, x] = [mean + 2 * u[1] * (value - mean) for value in out[:, y, x]]
    mean = sum(out.flatten()) / out.size
    return mean + (0.5 + u[2]) * (out - mean)


def holed(image, u):
    out, blank = image.copy(), []
    for side, number in zip(image.shape[1:], u, strict=False):
        size = math.ceil(side / 2)
        # Centres in units of half a pixel: pixels are at odd places, their edges at even ones.
        centres = range(1, 2 * side, 2) if size % 2 else range(0, 2 * side + 1, 2)
        centre = centres[math.floor(number * len(centres))]
        blank.append([k for k in range(side) if abs(2 * k + 1 - centre) < size])
    for y in blank[0]:
        for x in blank[1]:
            out[:, y, x] = 0
    return out


BY_LOOP = {
    "flip": lambda image, u: image[:, :, ::-1] if u[0] < 0.5 else image,
    "translation": shifted,
    "colour": coloured,
    "cutout": holed,
}


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 6), (3, 5, 20), (2, 4, 3)])
@pytest.mark.parametrize("p", [0.4, 1.0])
@pytest.mark.parametrize("operations", [*((name,) for name in ALL), ALL])
def test_against_loops(operations, p, shape):
    images = noise(40, *shape, dtype=torch.float64)
    draws = torch.rand(40, len(ALL), 4, generator=generator()).double().numpy()
    wanted = images.numpy().copy()
    for image, its_draws in zip(wanted, draws, strict=True):
        for name, (once, *u) in zip(ALL, its_draws, strict=True):
            if name in operations and once < p:
                image[:] = BY_LOOP[name](image.copy(), u)
    found = shown(images, *operations, p=p).numpy()
    # The others only copy pixels. The factor of contrast is rounded to float32, by at most 6e-8, and multiplies
    # distances below 6: pixels span 2, saturation takes them up to 4 from their grey, which is up to 2 from the mean.
    assert np.abs(found - wanted).max() <= (3.6e-7 if "colour" in operations else 0)


def ends(*numbers):
    return torch.tensor([*numbers, *[0.5] * (3 - len(numbers))]).view(3, 1, 1, 1, 1)


def test_by_hand_at_the_ends_of_the_draws():
    """Check u at both ends of [0, 1 - 2^-24] and in the middle, where the outcome is known."""
    low, high = 0.0, 1 - 2**-24
    image = torch.arange(1.0, 65).view(1, 1, 8, 8)
    assert torch.equal(module.flip(image, ends(low)), image.flip(3))
    assert torch.equal(module.flip(image, ends(0.5)), image)
    assert torch.equal(module.translation(image, ends(0.5, 0.5)), image)
    moved = torch.zeros_like(image)
    moved[..., :7, 1:] = image[..., 1:, :7]  # up one and right one
    assert torch.equal(module.translation(image, ends(low, high)), moved)
    hole = image.clone()
    hole[..., :2, 6:] = 0  # a window of 4, centred on the upper right corner
    assert torch.equal(module.cutout(image, ends(low, high)), hole)
    hole = image.clone()
    hole[..., 2:6, 2:6] = 0
    assert torch.equal(module.cutout(image, ends(0.5, 0.5)), hole)

    pixels = torch.tensor([[0.0, 0.5, 1.0], [0.25, 0.25, 0.25]]).T.reshape(1, 3, 1, 2)  # means 0.5 and 0.25
    assert torch.equal(module.colour(pixels, ends()), pixels)
    assert torch.equal(module.colour(pixels, ends(low)), pixels - 0.5)
    grey = torch.tensor([0.5, 0.25]).expand(1, 3, 1, 2)
    assert torch.equal(module.colour(pixels, ends(0.5, low)), grey)
    # A few numbers of order 1, each rounded once, and `high` is not quite 1: below 1e-6.
    assert (module.colour(pixels, ends(0.5, high)) - (2 * pixels - grey)).abs().max() < 1e-6
    assert torch.equal(module.colour(pixels, ends(0.5, 0.5, low)), (pixels + 0.375) / 2)  # the image's mean is 0.375
    assert (module.colour(pixels, ends(0.5, 0.5, high)) - (1.5 * pixels - 0.1875)).abs().max() < 1e-6


# What p means.


@pytest.mark.parametrize("zero", [0.0, torch.tensor(0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_p_0_is_bit_for_bit(zero, dtype):
    images = 3 * noise(16, 3, 8, 8, dtype=dtype)
    images[:, :, 0, 0] = -0.0  # equal to 0, but not its bits
    found = shown(images, *ALL, p=zero)
    assert torch.equal(found.view(torch.uint8), images.view(torch.uint8))


def test_p_0_is_never(monkeypatch):
    """Check that p = 0 holds even where the draw is 0 itself, as one in 2^24 is."""
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: torch.zeros(shape))
    images = torch.linspace(-1, 1, 64).view(1, 1, 8, 8)
    assert torch.equal(shown(images, *ALL, p=0.0), images)
    assert not torch.equal(shown(images, *ALL, p=2**-24), images)


# For 8 x 8 pixels, half are mirrored, and one of 9 places is the old one; the other two always leave a trace.
TRACE = {"flip": 1 / 2, "translation": 8 / 9, "colour": 1, "cutout": 1}


@each
@pytest.mark.parametrize("p", [0.1, 0.6, 1.0])
def test_share_of_images_changed(name, p):
    share = float(changed(noise(MANY, 1, 8, 8), name, p=p).double().mean())
    assert share == pytest.approx(p * TRACE[name], abs=spread(p * TRACE[name]))


@pytest.mark.parametrize(("first", "second"), [(a, b) for a in ALL for b in ALL if a < b])
def test_operations_are_independent(first, second):
    """Check that both leave a trace with the product of their probabilities."""
    images = noise(MANY, 1, 8, 8)
    both = changed(images, first, p=0.6) & changed(images, second, p=0.6)
    wanted = 0.36 * TRACE[first] * TRACE[second]
    assert float(both.double().mean()) == pytest.approx(wanted, abs=spread(wanted))


@each
def test_neither_p_nor_its_form_shifts_the_draws(name):
    """Check that an image changed at a small p changes into the same at any larger one, and the others do not."""
    images = noise(200, 3, 8, 8)
    always, rarely = shown(images, name), shown(images, name, p=0.3)
    touched = changed(images, name, p=0.3)
    assert 0 < touched.sum() < 200
    assert torch.equal(rarely, torch.where(touched.view(-1, 1, 1, 1), always, images))
    assert not (touched & ~changed(images, name, p=0.5)).any()
    assert torch.equal(rarely, shown(images, name, p=torch.tensor(0.3)))


def test_operations_do_not_shift_each_other():
    """Compare all operations at once with one after the other, each with all draws to itself."""
    images = noise(50, 3, 8, 8)
    one_by_one = images
    for name in ("flip", "colour", "translation", "cutout"):
        one_by_one = shown(one_by_one, name, p=0.5)
    assert torch.equal(shown(images, *ALL, p=0.5), one_by_one)
    assert torch.equal(shown(images, *reversed(ALL), p=0.5), one_by_one)
    assert not torch.equal(shown(images, *ALL, p=0.5, seed=1), one_by_one)

    states = []
    for operations, p in ((ALL, 0.5), (ALL, 0.0), (("cutout",), 1.0), ((), 1.0)):
        augment(images, operations=operations, p=p, random=(random := generator()))
        states.append(random.get_state())
    assert all(torch.equal(state, states[0]) for state in states)
    assert not torch.equal(states[0], generator().get_state())  # the next batch has other numbers
    assert torch.equal(shown(images), images)


def test_a_batch_in_parts_is_the_batch():
    images, random = noise(50, 3, 8, 8), generator()
    parts = [augment(part, operations=ALL, p=0.5, random=random) for part in images.split([7, 30, 13])]
    assert torch.equal(torch.cat(parts), shown(images, *ALL, p=0.5))


# Where the draws land.


def test_flip_mirrors_half_and_is_its_own_inverse():
    images = noise(100, 3, 8, 8)
    once = shown(images, "flip")
    mirrored = (once == images.flip(3)).flatten(1).all(1)
    assert torch.equal(mirrored, changed(images, "flip", p=1.0))
    assert torch.equal(shown(once, "flip"), images)  # the same random flips


def test_translation_is_uniform_and_copies_pixels():
    image = torch.arange(1.0, 16 * 8 + 1).view(1, 1, 16, 8)  # every pixel shows where it is from
    found = shown(image.expand(MANY, -1, -1, -1), "translation").flatten(1)
    home = 8 * 8 + 4  # far enough from the border to be seen always
    place = (found == image.flatten()[home]).nonzero()[:, 1] - home
    assert len(place) == MANY
    for down in range(-2, 3):
        for right in (-1, 0, 1):
            share = float((place == 8 * down + right).double().mean())
            assert share == pytest.approx(1 / 15, abs=spread(1 / 15))
    for one, shift in zip(found[:50], place[:50].tolist(), strict=True):
        pixels = one[one != 0].long().tolist()
        down = round(shift / 8)
        assert len(set(pixels)) == len(pixels) == (16 - abs(down)) * (8 - abs(shift - 8 * down))
        assert set(pixels) <= set(range(1, 129))


def test_cutout_is_uniform_up_to_the_border():
    """Check the share of centres at which a row or column k is lost: those within half a window of it."""
    lost = shown(torch.ones(MANY, 1, 8, 6), "cutout")[:, 0] == 0
    rows, columns = lost.any(2).double().mean(0), lost.any(1).double().mean(0)
    # A window of 4 of 8 pixels is centred on one of 9 edges, one of 3 of 6 pixels on one of 6 pixels.
    for found, wanted in ((rows, [3, 4, 4, 4, 4, 4, 4, 3]), (columns, [2, 3, 3, 3, 3, 2])):
        centres = len(wanted) + (len(wanted) == 8)
        # A row at the border is in reach of one edge or pixel fewer; (3 + 1) / 9: k = 0 has the edges 0, 1 and 2.
        for share, count in zip(found.tolist(), wanted, strict=True):
            assert share == pytest.approx(count / centres, abs=spread(count / centres))


def test_brightness_of_a_constant_picture():
    """Check shifts by U(-0.5, 0.5), of standard deviation 1 / sqrt(12); contrast and saturation change nothing."""
    found = shown(torch.full((MANY, 3, 4, 4), 0.25), "colour")
    moves = found.mean((1, 2, 3)) - 0.25
    assert (found - found[:, :1, :1, :1]).abs().max() < 1e-6  # 8 roundings of numbers below 1: 8 * 6e-8
    assert abs(float(moves.mean())) < 4 / math.sqrt(12 * MANY)
    # E^4 = 1 / 80, so the square of a move has the variance 1 / 80 - 1 / 144 = 1 / 180.
    assert float(moves.square().mean()) == pytest.approx(1 / 12, abs=4 / math.sqrt(180 * MANY))
    assert -0.5 - 1e-6 <= moves.min() < -0.49
    assert 0.49 < moves.max() <= 0.5 + 1e-6


def test_colour_is_unbiased_and_keeps_the_mean():
    image = noise(1, 3, 4, 4, dtype=torch.float64)
    found = shown(image.expand(MANY, -1, -1, -1), "colour")
    error = (found.mean(0) - image[0]) / (found.std(0) / math.sqrt(MANY))
    assert error.abs().max() < 4.5  # of 48 pixels
    assert error.abs().max() > 0.1  # 48 pixels, not all of them exact
    factor = found.std((1, 2, 3)) / image.std()
    assert 0 < factor.min() < 0.7  # contrast and saturation together, so beyond the range of either
    assert 1.5 < factor.max() < 3


def test_grey_images():
    """Check that saturation is the identity: bit for bit with one channel, up to rounding with three equal ones."""
    grey = noise(20, 1, 8, 8)
    u = torch.rand(3, 20, 1, 1, 1, generator=generator())
    other = torch.stack([u[0], 1 - u[1], u[2]])
    assert torch.equal(module.colour(grey, u), module.colour(grey, other))
    three = module.colour(grey.expand(-1, 3, -1, -1), u)
    # Numbers below 3, a factor up to 2 and one up to 1.5, 10 roundings: 10 * 3 * 3 * 6e-8.
    assert (three - module.colour(grey, u)).abs().max() < 6e-6
    coloured = noise(20, 3, 8, 8)
    assert (module.colour(coloured, u) - module.colour(coloured, other)).abs().max() > 0.1


# What a training step relies on.


@pytest.mark.parametrize("operations", [*((name,) for name in ALL), ALL])
def test_derivatives(operations):
    images = noise(3, 2, 4, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: shown(x, *operations, p=0.7), images)
    assert torch.autograd.gradgradcheck(lambda x: shown(x, *operations, p=0.7), images)


@pytest.mark.parametrize("name", ["flip", "translation", "cutout"])
def test_penalty_through_the_augmentation(name):
    """Compare with D(x) = a |T x|^2 / 2, whose gradient is a T'T x.

    T moves or drops pixels, so the length is a |T x|, and the penalty a^2 E|T x|^2 has the derivative 2 a E|T x|^2.
    """
    a, x = torch.tensor(1.5, requires_grad=True), noise(20, 3, 8, 8).requires_grad_()
    seen = shown(x, name, p=0.7)
    penalty = zero_centred(x, a / 2 * seen.square().flatten(1).sum(1))
    penalty.backward()
    mean_square = float(seen.detach().square().flatten(1).sum(1).mean())
    assert penalty.item() == pytest.approx(1.5**2 * mean_square, rel=1e-5)  # sums of 200 in float32
    assert a.grad.item() == pytest.approx(2 * 1.5 * mean_square, rel=1e-5)


@each
def test_dtype_layout_and_the_images_themselves(name):
    images = noise(10, 3, 8, 8)
    before = images.clone()
    found = shown(images, name, p=0.5)
    assert torch.equal(images, before)
    assert not torch.equal(found, before)
    assert torch.equal(found, shown(images, name, p=0.5))
    # Another order in the mean over 192 numbers below 1 or so: 192 * 6e-8. The others only copy pixels.
    rounding = 1.2e-5 if name == "colour" else 0
    for dtype in (torch.bfloat16, torch.float64):
        other = shown(images.to(dtype), name, p=0.5)
        assert other.dtype == dtype
        wanted = shown(images.to(dtype).float(), name, p=0.5).to(dtype)  # bfloat16 is rounded once, at the end
        assert (other - wanted).abs().max() <= (0 if dtype == torch.bfloat16 else rounding)
    last = images.contiguous(memory_format=torch.channels_last)
    assert (shown(last, name, p=0.5) - found).abs().max() <= rounding
    assert shown(last, name, p=0.5).stride() == last.stride() != found.stride() == images.stride()
    lone = last[:, :1].contiguous(memory_format=torch.channels_last)
    assert shown(lone, name, p=0.5).is_contiguous(memory_format=torch.channels_last)


def test_nothing_waits_for_the_device():
    """Run on the device `meta`, whose tensors have no values: reading one fails, as it would wait on an accelerator."""
    p = torch.tensor(0.5, device="meta")
    with pytest.raises(RuntimeError, match="meta"):
        p.item()
    images = torch.empty(4, 3, 8, 8, device="meta")
    assert shown(images, *ALL, p=p).shape == images.shape
    logits = torch.empty(4, device="meta")
    for measure in (r_t(logits), r_v(logits, logits, logits)):
        assert adapted(p, measure=measure, target=0.6, images=50, length=500).shape == ()


# The adaptive p.

TRAIN, HOLDOUT, FAKE = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0, 1.5]), torch.tensor([-2.0, 0.0])


def test_r_t_by_hand():
    logits = torch.tensor([2.0, -1.0, 0.5, 0.0])
    assert r_t(logits).item() == 0.25
    assert r_t(7 * logits).item() == 0.25
    assert r_t(logits + 1.5).item() == 1  # a shift, invisible to a relativistic loss
    assert r_t(logits - 3).item() == -1


def test_r_v_by_hand():
    assert r_v(TRAIN, HOLDOUT, FAKE).item() == 0.5  # (4 - 1.5) / (4 + 1)
    assert r_v(TRAIN, TRAIN, FAKE).item() == 0
    assert r_v(TRAIN, FAKE, FAKE).item() == 1
    for scale in (0.25, 1, 4):
        for shift in (-8, 0, 16):
            assert r_v(*(scale * logits + shift for logits in (TRAIN, HOLDOUT, FAKE))).item() == 0.5  # all exact


def test_r_v_of_a_disc_that_tells_nothing():
    assert r_v(FAKE, HOLDOUT, TRAIN).item() == 0  # it would be 0.5
    assert r_v(TRAIN, HOLDOUT, TRAIN).item() == 0  # ... infinite
    assert r_v(TRAIN, TRAIN, TRAIN).item() == 0  # ... 0 / 0
    assert r_v(TRAIN, HOLDOUT, TRAIN - 2**-10).item() == 2.5 * 2**10  # the smallest positive gap counts


def step(p, measure, *, images=125, length=1000, dtype=torch.float32):
    p, measure = torch.tensor(p, dtype=dtype), torch.tensor(measure, dtype=torch.float64)
    found = adapted(p, measure=measure, target=0.5, images=images, length=length)
    assert found.dtype == dtype
    return found.item()


def test_p_follows_the_measure():
    for above in (0.501, 1.0, 30.0):  # the amount does not count
        assert step(0.25, above) == 0.375
    for below in (0.499, 0.0, -30.0):
        assert step(0.25, below, dtype=torch.float64) == 0.125
    assert step(0.25, 0.5) == 0.25
    assert step(0.25, float("nan")) == 0.25  # NaN leaves p unchanged
    assert (step(0.9375, 1.0), step(1.0, 1.0), step(1.0, 0.0)) == (1, 1, 0.875)
    assert (step(0.0625, 0.0), step(0.0, 0.0), step(0.0, 1.0)) == (0, 0, 0.125)


def test_p_goes_from_0_to_1_in_length_images():
    seen, p = [], torch.tensor(0.0)
    for _ in range(10):
        seen.append(p.item())
        p = adapted(p, measure=torch.tensor(1.0), target=0.6, images=125, length=1000)
    assert seen == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1]


def test_r_t_is_for_losses_that_know_where_the_middle_is():
    """Check losses for which D's best logit is 0 where real and fake are alike, and its sign tells them apart."""
    values = options_of("augment=adaptive")
    places = torch.linspace(-3, 3, 61)
    for name, (disc_loss, _) in LOSSES.items():
        of_place = torch.stack([disc_loss(x.expand(2), x.expand(2)) for x in places])
        best = places[of_place < of_place.min() + 1e-6]
        knows = len(best) < len(places) and abs(best.mean()) < 1e-5
        for measure in ("r_t", "r_v"):
            values["loss"]["name"], values["augment"]["adapt"] = name, measure
            if knows or measure == "r_v":
                assert check(TrainOptions, values).augment.adapt == measure
            else:
                with pytest.raises(OptionsError, match=f"adapt=r_t: loss={name} gives D no zero point"):
                    check(TrainOptions, values)
