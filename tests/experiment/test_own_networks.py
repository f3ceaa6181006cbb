"""User-defined networks: trained, stopped, continued, sampled, evaluated, in a study."""

import json
import re

import pytest
import torch
from helpers import processes
from helpers.interrupting import interrupted_at
from helpers.options import TINY

import resgan
from resgan.builders.networks import spec_of_networks

THEIRS = '''
import torch
from torch import nn


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


class Net:
    """No module; a network is what it makes."""


class G(nn.Module):
    """A constructor with a positional argument, a keyword and a default, none of which resgan knows."""

    latent_dim = 5

    def __init__(self, depth, *, wide=16, act="sine", residual=False):
        super().__init__()
        self.residual = residual
        self.first = nn.Linear(5, wide)
        self.hidden = nn.ModuleList(nn.Linear(wide, wide) for _ in range(depth))
        self.last = nn.Linear(wide, 2)
        self.act = {"sine": Sine(), "relu": nn.ReLU()}[act]

    def forward(self, z):
        x = self.first(z)
        for layer in self.hidden:
            x = x * self.residual + layer(self.act(x))
        return self.last(x)


class D(nn.Sequential):
    def __init__(self, wide=16):
        super().__init__(nn.Linear(2, wide), nn.SiLU(), nn.BatchNorm1d(wide), nn.Linear(wide, 1), nn.Flatten(0))


class Wrong(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.one = how, nn.Parameter(torch.ones(1), requires_grad=how != "frozen")
        if how == "raises":
            raise RuntimeError("no\\nway")
        if how == "state":
            self.register_buffer("table", torch.ones(3))
            self.register_load_state_dict_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("no loading")))

    def forward(self, x):
        return {
            "shape": x.new_ones(len(x), 3) * self.one,
            "wild": x.new_full((len(x), 2), float("nan")) * self.one,
            "tuple": (x, x),
            "logits": x.sum(1, keepdim=True) * self.one,
        }.get(self.how, x[:, :2] * self.one)


def number():
    return 3
'''


@pytest.fixture
def theirs(tmp_path):
    path = tmp_path / "their nets.py"
    path.write_text(THEIRS)
    return path


def own(path, *more: str) -> list[str]:
    return [
        *("data=gaussians", "generator=module", f"generator.path={path}:G", "generator.kwargs.depth=2"),
        *("disc=module", f"disc.path={path}:D", "disc.kwargs.wide=8"),
        *[word for word in TINY if not word.startswith(("data=", "generator.", "disc."))],
        *("wandb=disabled", "trainer.progress=false", *more),
    ]


def test_trained_continued_sampled_and_evaluated(theirs, tmp_path, capsys):
    """Stopped by a signal and continued, a run ends like an uninterrupted one; the commands need its classes again."""
    words = own(theirs, "total_kimg=12")
    whole = resgan.fit(resgan.configure(*words, f"run_dir={tmp_path / 'whole'}"))
    options = resgan.configure(*words, f"run_dir={tmp_path / 'parts'}")
    with interrupted_at(tmp_path / "parts", images=2000), pytest.raises(KeyboardInterrupt):
        resgan.fit(options)
    capsys.readouterr()
    theirs.write_text(THEIRS + "# another comment\n")
    assert resgan.fit(options).scores == whole.scores
    said = capsys.readouterr().err
    assert re.search(r"continues .* at ([2-9]|1[01])\.\d kimg", said)
    assert all(f"{network}.path={theirs}" in said for network in ("generator", "disc"))
    assert said.count("the file has changed since this run began") == 2

    ckpt, paths = whole.checkpoint, [f"generator.path={theirs}:G", f"disc.path={theirs}:D"]
    done = processes.run("sample", f"ckpt={ckpt}", "seeds=0-3", "outdir=out", *paths, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = processes.run("evaluate", f"ckpt={ckpt}", "metrics.samples=200", *paths[:1], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "validity" in done.stdout
    assert resgan.score(ckpt, None, "metrics.samples=200", *paths[:1]).keys() == whole.scores.keys()


def test_a_checkpoint_makes_no_code_run(theirs, tmp_path):
    ckpt = resgan.fit(resgan.configure(*own(theirs), f"run_dir={tmp_path / 'run'}")).checkpoint
    theirs.write_text("raise SystemExit('it ran')")
    for arguments in (("sample", f"ckpt={ckpt}"), ("evaluate", f"ckpt={ckpt}")):
        done = processes.run(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"give the class, as generator.path={theirs}:G" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    with pytest.raises(resgan.UserError, match="a checkpoint runs no code"):
        resgan.load_gan(ckpt)

    space: dict = {}
    exec(THEIRS, space)
    gan = resgan.load_gan(ckpt, generator=space["G"])
    assert gan.sample(range(3)).shape == (3, 2)
    assert gan.disc is None
    assert resgan.load_gan(ckpt, generator=space["G"], disc=space["D"]).disc is not None
    with pytest.raises(resgan.UserError, match="the weights of generator do not fit its class"):
        resgan.load_gan(ckpt, generator=lambda **_: space["D"]())


def test_in_a_study_of_four_arms_the_switch_reaches_it(theirs, tmp_path):
    """The switch is passed in kwargs; without it the arms would differ only in name, which is refused."""
    words = own(theirs, "generator.kwargs.residual=${generator.residual}", "total_kimg=0.5", "run_dir=arms")
    done = processes.run("train", "-m", *words, "generator.residual=true,false", "seed=0,1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in (tmp_path / "arms").rglob("result.json")]
    assert len(results) == 4
    assert len({result["scores"]["distance"] for result in results}) == 4
    with pytest.raises(resgan.UserError, match=r"give kwargs\.residual=true as well"):
        resgan.configure(*own(theirs, "generator.residual=true"))


def test_what_data_and_studies_set_for_other_networks_does_not_reach_it(theirs):
    given = resgan.configure(*own(theirs))
    assert given.generator.kwargs == {"depth": 2}
    assert given.generator.latent_dim == 64  # data=gaussians sets 2
    assert resgan.configure(*own(theirs, "generator.latent_dim=7")).generator.latent_dim == 7
    assert spec_of_networks(given, (2,), classes={})["generator"]["latent_dim"] == 5  # the network's own counts
    with pytest.raises(resgan.UserError, match=r"generator\.width: there is no such option here"):
        resgan.configure(*own(theirs, "generator.width=8"))


def test_the_first_weights_are_of_the_seed(theirs):
    def weights(seed):
        from resgan.builders.networks import build_network

        spec = spec_of_networks(resgan.configure(*own(theirs, f"seed={seed}")), (2,), classes={})
        return build_network(spec, "generator").state_dict()["first.weight"]

    before = torch.random.get_rng_state()
    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("network", "name", "kwargs", "said"),
    [
        ("generator", "nothing", "", "AttributeError"),
        ("generator", "number", "", "makes a int; expected a torch.nn.Module"),
        ("generator", "Wrong", "how=raises", "RuntimeError: no way"),
        ("generator", "Wrong", "how=frozen", "has no parameters"),
        ("generator", "Wrong", "how=shape", "gives (4, 3) for (4, 64); expected (4, 2)"),
        ("generator", "Wrong", "how=wild", "its output is not finite"),
        ("generator", "Wrong", "how=tuple", "gives a tuple for (4, 64); expected (4, 2)"),
        ("generator", "Wrong", "how=state", "its state cannot be saved and loaded"),
        ("generator", "G", "", "missing 1 required positional argument"),
        ("generator", "G", "depht=2", "unexpected keyword argument 'depht'"),
        ("disc", "Wrong", "how=logits", "gives (4, 1) for (4, 2); expected (4,), a logit for each sample"),
    ],
)
def test_a_class_that_does_not_fit_is_refused_before_training(theirs, tmp_path, network, name, kwargs, said):
    words = [word for word in own(theirs) if not word.startswith((f"{network}.kwargs", f"{network}.path"))]
    words += [f"{network}.path={theirs}:{name}", *([f"{network}.kwargs.{kwargs}"] if kwargs else [])]
    with pytest.raises(resgan.UserError) as caught:
        resgan.fit(resgan.configure(*words, f"run_dir={tmp_path / 'run'}"))
    assert str(caught.value).startswith(f"{network}.path={theirs}:{name}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_several_seeds_are_trained_one_by_one(theirs, tmp_path):
    done = processes.run("train", *own(theirs, "total_kimg=0.5", "run_dir=seeds"), "seeds=0-1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "seeds").rglob("final.ckpt"))) == 2


@pytest.mark.parametrize("command", ["describe", "bench"])
def test_other_commands_take_it(theirs, tmp_path, command):
    done = processes.run(command, *own(theirs), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
