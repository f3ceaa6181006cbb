"""`python -m resgan.describe`, and the scales it shows."""

import pytest
import torch
from helpers.networks import make_network
from helpers.options import options_of
from PIL import Image
from torch import Tensor, nn

from resgan import describe
from resgan.base.errors import OptionsError
from resgan.builders.data import expected_class_shares, expected_shape
from resgan.data.dataset import DataError
from resgan.experiment import description
from resgan.nets.mlp import MlpDiscriminator
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.probes.scale import scales

OPTIONS = {"block": "preact", "width": 16, "norm": "none", "spectral": False, "join": "sum", "seed": 0}


def test_scales_of_a_network_one_can_work_out():
    """Three layers of 2x: values double on the forward pass, gradients on the backward pass; nothing in it changes."""

    class Doubling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(8, 8, bias=False) for _ in range(3))
            for layer in self.layers:
                layer.weight.data = 2 * torch.eye(8)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    net = Doubling()
    found = scales(net, torch.ones(5, 8))
    assert [s.name for s in found] == ["layers.0", "layers.1", "layers.2"]
    assert [s.shape for s in found] == [(8,)] * 3
    assert [s.rms for s in found] == [2, 4, 8]
    assert [s.gradient for s in found] == [4, 2, 1]
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_identity_blocks_change_neither_signal_nor_gradient():
    net = make_network(MlpDiscriminator, shape=(2,), residual=True, blocks=5, init="zero_last", **OPTIONS)
    found = scales(net, torch.randn(32, 2))
    assert len({s.rms for s in found if "block" in s.name}) == 1
    assert all(s.gradient == pytest.approx(1, abs=1e-6) for s in found if "block" in s.name)


def test_running_statistics_stay_where_they_were():
    net = make_network(
        MlpDiscriminator, shape=(2,), residual=True, blocks=2, init="he", **(OPTIONS | {"norm": "batch"})
    )
    before = {key: value.clone() for key, value in net.state_dict().items()}
    scales(net, torch.randn(32, 2))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def run(monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr("sys.argv", ["describe", *arguments])
    describe.main()
    return capsys.readouterr().out


def test_both_positions_of_the_switch_side_by_side(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = run(monkeypatch, capsys, "generator.blocks=2")
    generator, disc = said.split("disc: lab")
    # The base has 16 x 512 + 512, each of 6 blocks 2 (9 x 32 x 32 + 32), the image layer 9 x 32 x 3 + 3.
    assert "residual: 120,547 parameters" in generator
    assert "plain: 120,547 parameters" in generator
    rows = {row.split()[0]: row.split()[1:] for row in said.splitlines() if "blocks" in row}
    assert sum(name.startswith("stages.2.blocks") for name in rows) == 2  # those of G, and one of D with the same name
    assert rows["stages.1.blocks.1"][0] == "32x8x8"
    assert rows["stages.1.blocks.1"][1] != rows["stages.1.blocks.1"][3]
    assert "stages.0.blocks.0" in disc
    assert not list(tmp_path.iterdir())


def test_an_arm_that_cannot_be_is_said_in_its_place(monkeypatch, capsys):
    said = run(monkeypatch, capsys, "data=cifar10", "generator=r3gan", "generator.width=16")
    assert "plain: generator.init=published: ends every branch in zero" in said
    assert "16x32x32" in said


def test_a_matched_network_is_described_as_it_begins(monkeypatch, capsys):
    """On latents like a run's: the blocks of a plain network keep the rms, within the scatter of nonzero means."""
    said = run(monkeypatch, capsys, "data=gaussians", "generator.init=matched", "generator.blocks=8")
    generator, disc = said.split("disc: mlp")
    assert "matched on normal numbers" in generator
    assert "matched" not in disc
    plain = [float(row.split()[4]) for row in generator.splitlines() if "blocks" in row]
    assert len(plain) == 8
    assert max(plain) < 1.2 * min(plain)


def test_what_norms_hide_is_said(monkeypatch, capsys):
    """A response is hidden in D, with a norm inside the branch and no bias; not in G, whose norms are on the trunk."""
    hiding = ("disc.norm=pixel", "disc.norm_place=branch", "disc.first_bias=false", "disc.width=8")
    generator, disc = run(monkeypatch, capsys, "generator.norm=pixel", "generator.width=8", *hiding).split("disc: lab")
    assert "hidden" not in generator
    [line] = [line for line in disc.splitlines() if line.startswith("  half the amplitude moves the output by")]
    assert line.endswith(": hidden from the plain network")
    assert "a shift of colour moves the output by" in disc


def test_no_size_no_description(refused):
    assert "data.path=nowhere: there is no such" in refused(describe, "data=folder", "data.path=nowhere")


@pytest.mark.parametrize(("data", "classes", "features"), [
    (["data=cifar100"], 100, 8 * 4 * 4),
    (["data=svhn"], 10, 8 * 4 * 4),
    (["data=gaussians", "data.modes=9"], 9, 8),
])  # fmt: skip
def test_networks_that_are_told_as_many_classes_as_the_data_has(data, classes, features):
    """Beside unconditional networks, G has a code of each class and a base twice as wide; D an inner product each."""
    small = ["generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "generator.latent_dim=4"]
    found = {}
    for g, d in (("none", "none"), ("concat", "projection")):
        told = (f"generator.conditional={g}", f"disc.conditional={d}")
        options = check(TrainOptions, options_of(*data, *small, *told))
        for network in ("generator", "disc"):
            made = description.arm(options, network, expected_shape(options.data), True)
            found[network, g != "none"] = made.counts["parameters"]
            assert made.scales
    assert found["generator", True] - found["generator", False] == 4 * classes + 4 * features
    assert found["disc", True] - found["disc", False] == classes * features


def test_the_size_and_the_classes_of_a_folder_are_read_from_it(tmp_path):
    for k, name in enumerate(("b/1.png", "a/1.png", "b/2.png", "b/3.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (20, 20), k).save(tmp_path / name)
    told = ("generator.conditional=norm", "disc.conditional=projection")
    given = ("data=folder", f"data.path={tmp_path}", *told)
    folder = check(TrainOptions, options_of(*given))
    assert expected_shape(folder.data) == (3, 20, 20)
    assert expected_class_shares(folder) == {"a": 0.25, "b": 0.75}
    with pytest.raises(OptionsError, match=r"^generator\.conditional=norm: data=.* has no classes"):
        expected_class_shares(check(TrainOptions, options_of(*given, "data.labels=none")))
    Image.new("L", (20, 24)).save(tmp_path / "a" / "2.png")
    with pytest.raises(DataError, match=r"data\.size=null: images must be square and of one size"):
        expected_shape(folder.data)
