"""Networks and scores from plain data, and a GAN restored from its checkpoint alone."""

import json

import pytest
import torch
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.base.images import to_float
from resgan.builders.components import build_components
from resgan.builders.data import build_dataset, mixed_batch, reals_to_show
from resgan.builders.gan import build_gan, round_to_batches
from resgan.builders.networks import build_networks, count, spec_of
from resgan.builders.scorer import build_scorer
from resgan.builders.trained_gan import load_gan
from resgan.data.dataset import Dataset
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training import checkpoints

SMALL = ["generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "metrics.samples=50"]


def options(*overrides: str) -> TrainOptions:
    return check(TrainOptions, options_of(*SMALL, *overrides))


def built(*overrides: str):
    given = options(*overrides)
    dataset = build_dataset(given.data, seed=given.seed, progress=False)
    return given, dataset, spec_of(given, dataset)


@pytest.mark.parametrize("overrides", [[], ["data=gaussians", "data.size=100"]])
def test_a_spec_is_plain_data_and_enough(overrides):
    _, dataset, spec = built(*overrides)
    again = json.loads(json.dumps(spec))
    assert again == spec
    (first, disc), (second, _) = build_networks(spec), build_networks(again)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    z = torch.randn(2, spec["generator"]["latent_dim"])
    assert first(z).shape == (2, *dataset.shape)
    assert disc(first(z)).shape == (2,)


@pytest.mark.parametrize("norm", ["batch", "pixel"])
@pytest.mark.parametrize("spectral", ["true", "false"])
def test_load_gan_needs_the_file_alone(tmp_path, norm, spectral):
    given, dataset, spec = built(
        *(f"{net}.{o}" for net in ("generator", "disc") for o in (f"norm={norm}", f"spectral={spectral}"))
    )
    gan = build_gan(given, spec, dataset)
    with torch.no_grad():
        for parameter in gan.generator_ema.parameters():
            parameter.add_(0.1)  # so that averaged and raw differ
    checkpoints.save(tmp_path / "a.ckpt", {"spec": spec, **gan.training_state()})
    loaded = load_gan(tmp_path / "a.ckpt")
    z = loaded.latents([3, 4])
    gan.eval()
    # Up to rounding in float32, of values of order 1: another memory format sums in another order.
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(loaded.generator(z), gan.generator_ema(z), **close)
    torch.testing.assert_close(loaded.sample([3, 4], averaged=False), gan.generator(z), **close)
    torch.testing.assert_close(loaded.disc(loaded.sample([3, 4])), gan.disc(loaded.sample([3, 4])), **close)
    assert not torch.equal(loaded.sample([3, 4]), loaded.sample([3, 4], averaged=False))


def test_scores_and_their_cards_on_hard_edged_shapes():
    given, dataset, _ = built("data=shapes_hard")
    scorer = build_scorer(given, dataset)
    assert scorer.primary == "tv"
    scores = scorer.measure(to_float(dataset.reference))
    assert (
        list(scores)
        == list(scorer.cards)
        == [
            "tv",
            "validity",
            "modes",
            "kl",
            "novelty",
            "fd_cifarnet_50_full",
            "variance_ratio",
        ]
    )
    assert scores["tv"] == pytest.approx(0, abs=1e-12)
    assert scores["fd_cifarnet_50_full"] == pytest.approx(0, abs=1e-6)  # a set against itself
    card = scorer.cards["fd_cifarnet_50_full"]
    assert card["n_fake"] == 50
    assert card["n_real"] == 1200
    assert card["split"] == "all"
    assert card["trained_on"] == "cifar10-jpeg"


def test_scores_and_their_cards_on_shapes():
    given, dataset, _ = built("metrics.samples=1000", "data.withhold=true")
    scorer = build_scorer(given, dataset)
    assert scorer.primary == "tv"
    scores, ideal = scorer.measure(to_float(dataset.holdout[:1000])), scorer.ideal_scores()
    assert list(scores) == list(scorer.cards)
    assert list(scores)[:3] == ["tv", "validity", "tv_valid"]
    assert list(scores)[-3:] == ["recombination", "fd_cifarnet_1k_draws", "variance_ratio"]
    assert scores["recombination"] < 0.01 < ideal["recombination"] == 1  # held-out images are of what is shown
    assert set(scores) - set(ideal) == {"copying"}  # unknown for a perfect generator where much is withheld
    # The distance of two finite samples of one distribution, not of one from the distribution itself.
    assert ideal["fd_cifarnet_1k_draws"] / 2 < scores["fd_cifarnet_1k_draws"] < 2 * ideal["fd_cifarnet_1k_draws"]
    card = scorer.cards["tv"]
    assert (card["data"], card["split"], card["n_real"]) == ("smooth_shapes16", "draws", 10_000)
    assert "recombination" not in build_scorer(*built("metrics.samples=1000")[:2]).cards


def test_points_have_no_frechet_distance():
    given, dataset, _ = built("data=gaussians", "data.size=100")
    names = ["tv", "validity", "modes", "kl", "tv_data", "distance", "variance_ratio"]
    assert list(build_scorer(given, dataset).cards) == names


def test_counts():
    """Count floating point operations by hand: a multiply-add is two, a 3 x 3 convolution 18 ab HW."""
    _, _, spec = built()
    counts = count(spec)
    convolutions = sum(2 * 18 * 8 * 8 * size**2 for size in (4, 8, 16))
    assert counts["flops"]["generator"] == 2 * 16 * 128 + convolutions + 18 * 8 * 3 * 256
    assert counts["flops"]["disc"] == 18 * 3 * 8 * 256 + convolutions + 2 * 128
    assert counts["switched"] == {what: counts[what] for what in ("parameters", "flops")}  # the switch costs nothing


def test_the_length_of_a_run_is_whole_batches():
    assert round_to_batches(options("total_kimg=0.1", "batch_size=32")) == 128
    assert round_to_batches(options("total_kimg=0.128", "batch_size=32")) == 128


def test_widths_that_do_not_fit_the_images():
    _, _, spec = built("generator.width=[8,8]")
    with pytest.raises(OptionsError, match=r"generator\.width=\[8, 8\]: .*3 stages"):
        build_networks(spec)


def test_what_moves_reaches_the_gan_in_images():
    given, dataset, spec = built(
        *("burn_in_kimg=2", "loss.r1_final=0.01", "loss.r2_final=0.02", "disc.decay=none", "disc.lr_final=5e-4"),
        *("disc.beta2_final=0.9", "generator.ema_kimg_final=3", "augment=adaptive", "augment.adapt_kimg=7"),
    )
    gan = build_gan(given, spec, dataset)
    assert gan.burn_in == 2000
    assert (gan.r1.final, gan.r2.final) == (0.01, 0.02)
    assert (gan.disc_adam.lr_final, gan.disc_adam.beta2_final) == (5e-4, 0.9)
    assert gan.ema_kimg_final == 3
    assert gan.augmentation.length == 7000
    assert torch.equal(gan.augmentation.holdout, dataset.holdout)


def rows_of(shown: torch.Tensor, dataset: Dataset) -> list[int]:
    """Return the row of each sample in the training set, whose samples all differ."""
    same = (shown.flatten(1)[:, None] == dataset.train.flatten(1)[None]).all(2)
    assert torch.equal(same.sum(1), torch.ones(len(shown), dtype=torch.long))
    return same.long().argmax(1).tolist()


def set_of(labels: list[int]) -> Dataset:
    """Make grey images, the k-th of grey k, sorted by class as in folders."""
    train = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    classes = tuple("abc")
    return Dataset(name="x", train=train, holdout=train[:0], reference=train, split="train", classes=classes,
                   labels=torch.tensor(labels))  # fmt: skip


def test_the_real_samples_to_look_at_are_of_mixed_classes():
    """Check that samples are shuffled, since the first 30 of 200 are of one class, and all shown before any repeat."""
    dataset = set_of([0] * 100 + [1] * 100)
    rows = rows_of(reals_to_show(dataset, 30, by_class=False), dataset)
    assert len(set(rows)) == 30
    assert {row // 100 for row in rows} == {0, 1}
    assert rows != sorted(rows)
    assert torch.equal(reals_to_show(dataset, 30, by_class=False), reals_to_show(dataset, 30, by_class=False))
    again = rows_of(reals_to_show(dataset, 450, by_class=False), dataset)
    assert again[:30] == rows
    assert again[200:400] == again[:200]
    assert sorted(again[:200]) == list(range(200))


def test_real_samples_stand_by_class_as_those_of_a_conditional_gan():
    labels = [0] * 5 + [1] * 2 + [2] * 9
    dataset = set_of(labels)
    rows = rows_of(reals_to_show(dataset, 14, by_class=True), dataset)
    assert [labels[row] for row in rows] == [k % 3 for k in range(14)]
    assert len(set(rows[::3])) == 5  # all of the class, before one is repeated
    assert rows[1:8:3] == [rows[1], rows[4], rows[1]]
    labels = [0, 0, 2, 2]  # all of class 1 are held out
    held_out = set_of(labels)
    rows = rows_of(reals_to_show(held_out, 6, by_class=True), held_out)
    assert [labels[row] for row in rows[::3] + rows[2::3]] == [0, 0, 2, 2]


def test_each_penalty_has_its_own_weight_and_interval():
    given, dataset, spec = built(
        *("loss.r1=0.1", "loss.r1_interval=2", "loss.r2=0.3", "loss.r2_interval=4", "loss.gp=0.5", "loss.gp_interval=6")
    )
    gan = build_gan(given, spec, dataset)
    assert [(p.weight, p.interval) for p in (gan.r1, gan.r2, gan.gp)] == [(0.1, 2), (0.3, 4), (0.5, 6)]


HALVES = "data=shapes_hard"  # each seed trains on its own half


def test_each_seed_is_scored_by_what_it_was_trained_on_itself():
    """Check components shared between seeds: novelty is the share of samples held out from the seed's own set."""
    given = [check(TrainOptions, options_of(*SMALL, HALVES, "metrics=exact", f"seed={seed}")) for seed in (0, 1)]
    first = build_components(given[0])
    for seed, components in enumerate((first, build_components(given[1], reuse=first))):
        for part, novelty in ((components.dataset.train, 0), (components.dataset.holdout, 1)):
            found = components.scorer.measure(to_float(part))
            assert found["validity"] == 1
            assert found["novelty"] == novelty, seed
    assert not torch.equal(first.dataset.train, components.dataset.train)


def test_a_batch_for_figures_is_mixed_and_the_same_in_every_run():
    """Check on sorted data, 20 classes of 5: the first 40 samples have 8 classes, drawn ones some 18 to 20."""
    labels = torch.arange(100) // 5
    points = torch.stack([torch.arange(100.0), labels.float()], dim=1)
    dataset = Dataset(name="sorted", train=points, holdout=points[:0], reference=points, split="all", labels=labels)
    samples, told = mixed_batch(dataset, 40, labelled=True)
    assert len(samples[:, 0].unique()) == 40
    assert len(told.unique()) >= 15
    assert torch.equal(samples[:, 1], told.float())
    torch.manual_seed(3)
    again, _ = mixed_batch(dataset, 40, labelled=True)
    assert torch.equal(again, samples)
    assert mixed_batch(dataset, 100, labelled=False)[0][:, 0].sort().values.tolist() == list(range(100))


def test_shares_of_classes_are_those_of_the_data():
    _, dataset, spec = built("data.count=100", "generator.conditional=concat", "disc.conditional=concat")
    shares = spec["classes"]
    assert list(shares) == list(dataset.classes)
    for k, share in enumerate(shares.values()):
        assert share == pytest.approx(float((dataset.labels == k).float().mean()))
    assert sorted(set(shares.values())) == pytest.approx([0.04, 0.05])  # 4 or 5 of 100
