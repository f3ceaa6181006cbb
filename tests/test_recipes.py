"""Take every recipe from docs/extending.md, apply it to a copy of the package, and use it."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from helpers import processes
from helpers.processes import Process

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
COPIED = ("resgan", "conf", "docs/studies.md", "pyproject.toml")

# Runs of a second on small images, with the exact scores only.
SMALL = [
    "total_kimg=0.02",
    "batch_size=5",
    "score_kimg=0",
    "sample_kimg=0",
    "save_kimg=0",
    "generator.width=8",
    "generator.blocks=1",
    "disc.blocks=1",
    "generator.latent_dim=4",
    "metrics.samples=50",
    "loss.r1_interval=2",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "trainer.progress=false",
]
MORE = {
    "a data set": ["metrics.extractor=pixels", "data.count=60"],
    "a study": ["seed=0", "generator.width=4,8", "generator.residual=true", "disc.residual=false"],
}
# Run first in the server: frozen objects are not copied into each child, which then takes half the time.
FROZEN = "import gc, hydra._internal.hydra, wandb, resgan.experiment.session, resgan.experiment.evaluation; gc.freeze()"

# Reads the contents of checkpoints in the copy: a module beside the commands, in the copy only.
LOOK = """
import json, sys
from pathlib import Path
import torch
import resgan
from resgan.nets.blocks import Block
from resgan.runs.history import completed_spec

def arms(block):
    width = block.layer1.weight.shape[1]
    x = torch.randn(2, width, 4, 4, generator=torch.Generator().manual_seed(0))
    branch, found = block.branch(x), {"moves": bool(block.branch(x).norm() > 0.1)}
    assert block.options.join == "stable"
    for residual, expected in ((True, x + branch / block.options.depth**0.5), (False, branch)):
        block.residual = residual
        found[residual] = torch.equal(block(x), block.after(expected))
    return found

found = {"file": resgan.__file__}
for path in map(Path, sys.argv[1:]):
    checkpoint = path / "checkpoints" / "final.ckpt"
    gan = resgan.load_gan(checkpoint)
    nets = (gan.generator, gan.disc)
    spec = {k: {n: v for n, v in w.items() if n != "tanh"} if k == "generator" else w for k, w in gan.spec.items()}
    found[path.name] = {
        "networks": [type(net).__name__ for net in nets],
        "modules": [sorted({type(module).__name__ for module in net.modules()}) for net in nets],
        "blocks": [arms(module) for net in nets for module in net.modules() if isinstance(module, Block)],
        "last": type(getattr(gan.generator, "last", None)).__name__,
        "older": completed_spec(spec)["generator"].get("tanh"),
        "samples": list(gan.sample(range(3)).shape),
        "shape": gan.spec["shape"],
        "loss_g": float(torch.load(checkpoint, weights_only=True)["losses"]["loss_g"]),
    }
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Edit:
    path: str
    language: str  # of the fence: "diff", or that of a new file
    text: str

    @property
    def is_new(self) -> bool:
        return self.language != "diff"

    @property
    def added(self) -> int:
        lines = self.text.splitlines()
        return len(lines) if self.is_new else sum(line.startswith("+") for line in lines)

    def apply(self, root: Path) -> None:
        path = root / self.path
        if self.is_new:
            assert not path.exists(), f"{self.path} is there already"
            path.write_text(self.text)
            return
        for hunk in re.split(r"^@@\n", self.text, flags=re.M):
            lines = hunk.splitlines(keepends=True)
            assert all(line[0] in " +-" for line in lines), f"{self.path}: no diff: {hunk}"
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            content = "\n" + path.read_text()
            assert content.count("\n" + before) == 1, f"{self.path}: its place is not there once: {before}"
            path.write_text(content.replace("\n" + before, "\n" + after)[1:])


@dataclass(frozen=True)
class Recipe:
    title: str  # in lower case: "a loss"
    edits: tuple[Edit, ...]
    commands: tuple[str, ...]


def recipes() -> list[Recipe]:
    found = []
    for section in PAGE.split("\n## ")[1:]:
        fences = re.findall(r"(?:^`([^`\n]+)`\n\n)?^```(\w+)\n(.*?)^```$", section, flags=re.M | re.S)
        found.append(
            Recipe(
                title=section.partition("\n")[0].lower(),
                edits=tuple(Edit(*fence) for fence in fences if fence[0]),
                commands=tuple(text.strip() for path, _, text in fences if not path),
            )
        )
    return found


RECIPES = recipes()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Copy the package, apply every recipe, and start a server of commands from there."""
    root = tmp_path_factory.mktemp("house")
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for recipe in RECIPES:
        for edit in recipe.edits:
            edit.apply(root)
    (root / "resgan" / "look.py").write_text(LOOK)
    server = subprocess.Popen(
        [sys.executable, "-c", FROZEN + processes.SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "server", lambda: server)
        yield root
    server.communicate()


@pytest.fixture(scope="module")
def used(house) -> dict[str, tuple[Process, Path]]:
    """Run the command of each recipe to its end; return it with its run directory. All take less than a minute."""
    found = {}
    for recipe in RECIPES:
        [line] = recipe.commands
        *python, module = shlex.split(line)[:3]
        assert python == ["python", "-m"]
        run_dir = house / recipe.title.replace(" ", "_")
        given = [a for a in [*SMALL, "metrics=exact"] if not overridden(a, MORE.get(recipe.title, []))]
        arguments = [*shlex.split(line)[3:], *given, *MORE.get(recipe.title, []), f"run_dir={run_dir}"]
        found[recipe.title] = processes.run(module.removeprefix("resgan."), *arguments, cwd=house), run_dir
    return found


def overridden(argument: str, by: list[str]) -> bool:
    names = {other.partition("=")[0] for other in by}
    return argument.partition("=")[0] in names or (argument == "metrics=exact" and "metrics.extractor" in names)


@pytest.fixture(scope="module")
def seen(house, used) -> dict:
    """Return the contents of the final checkpoints, of recipes that are not studies."""
    process = processes.run("look", *(str(run) for title, (_, run) in used.items() if title != "a study"), cwd=house)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def result(run: Path) -> dict:
    return json.loads((run / "result.json").read_text())


def test_the_page_has_the_recipes():
    assert [recipe.title for recipe in RECIPES] == [
        "an option", "a loss", "a block", "a norm", "a network", "a data set", "a score", "a study"
    ]  # fmt: skip
    assert all(recipe.edits and len(recipe.commands) == 1 for recipe in RECIPES)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.title)
def test_the_table_counts_what_a_recipe_touches(recipe):
    new = [edit for edit in recipe.edits if edit.is_new]
    changed = [edit for edit in recipe.edits if not edit.is_new]
    counts = (len(new), sum(e.added for e in new), len({e.path for e in changed}), sum(e.added for e in changed))
    [row] = re.findall(rf"^\| \[{recipe.title}\]\(#{recipe.title.replace(' ', '-')}\) \|(.*)\|$", PAGE, flags=re.M)
    assert tuple(int(cell) for cell in row.split("|")) == counts


@pytest.mark.parametrize("title", [recipe.title for recipe in RECIPES])
def test_the_command_of_a_recipe_works(title, used):
    process, _ = used[title]
    assert process.returncode == 0, process.stderr


def test_recipes_pass_the_linters(house):
    touched = sorted({edit.path for recipe in RECIPES for edit in recipe.edits if edit.path.endswith(".py")})
    for words in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *words, "--no-cache", *touched]
        found = subprocess.run(ruff, cwd=house, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout


def test_commands_are_those_of_the_copy(house, seen):
    assert seen["file"] == str(house / "resgan" / "__init__.py")


def test_the_option_reaches_the_network(seen):
    assert seen["an_option"]["last"] == "Tanh"
    assert seen["a_loss"]["last"] == "Identity"


def test_what_is_older_than_the_option_is_as_before(house, used, seen):
    assert seen["an_option"]["older"] is False
    _, run = used["a loss"]
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("  tanh: false\n", "", 1))
    again = processes.run("train", "loss=saturating", *SMALL, "metrics=exact", f"run_dir={run}", cwd=house)
    assert (again.returncode, "is finished already" in again.stderr) == (0, True), again.stderr


def test_the_loss_is_what_the_generator_minimises(seen):
    """-softplus of any number is below 0; the loss of every other run here is above."""
    below = {title for title, found in seen.items() if title != "file" and found["loss_g"] < 0}
    assert below == {"a_loss"}


def test_the_block_stands_in_both_networks_and_the_switch_works_in_it(seen):
    found = seen["a_block"]
    assert all("ReluOnly" in modules and "Preact" not in modules for modules in found["modules"])
    assert len(found["blocks"]) == 6  # one at each of 4, 8 and 16 pixels, in G and in D
    assert all(block == {"moves": True, "true": True, "false": True} for block in found["blocks"])


def test_the_norm_stands_in_both_networks(seen):
    assert all("RmsNorm" in modules and "PixelNorm" not in modules for modules in seen["a_norm"]["modules"])


def test_the_network_is_made_with_blocks_and_the_switch_works_in_them(seen):
    found = seen["a_network"]
    assert found["networks"] == ["PatchGenerator", "PatchDiscriminator"]
    assert found["samples"] == [3, 3, 16, 16]
    assert len(found["blocks"]) == 2
    assert all(block == {"moves": True, "true": True, "false": True} for block in found["blocks"])


def test_a_network_refuses_what_it_has_no_place_for_in_one_line(house):
    process = processes.run(
        "describe", "generator=patch", "generator.conditional=concat", "disc.conditional=projection", cwd=house
    )
    assert "generator.conditional=concat: patch networks are not class-conditional" in process.stdout + process.stderr
    assert "Traceback" not in process.stderr


def test_the_data_set_is_what_is_trained_on(used, seen):
    assert seen["a_data_set"]["shape"] == [1, 16, 16]
    cards = result(used["a data set"][1])["cards"]
    assert {(card["data"], card["n_real"]) for card in cards.values()} == {("gratings16", 60)}


def test_the_score_is_in_the_table_and_in_the_result(used):
    process, run = used["a score"]
    assert re.search(
        r"^ +swd +[\d.]+ +[\d.]+  sliced Wasserstein distance; lower is better$", process.stdout, flags=re.M
    )
    found = result(run)
    assert 0 < found["scores"]["swd"] < 2
    assert found["cards"]["swd"]["n_fake"] == 50


def test_the_study_says_its_runs_and_makes_them(used):
    process, run = used["a study"]
    assert "study width: 2 runs (2 settings x 1 seeds)" in process.stderr
    assert "study width: 2 finished" in process.stderr
    configs = [yaml.safe_load(path.read_text()) for path in run.rglob("config.yaml")]
    assert sorted((config["generator"]["width"], config["disc"]["width"]) for config in configs) == [(4, 4), (8, 8)]


def test_help_lists_what_was_added(house):
    process = processes.run("train", "--help", cwd=house)
    expected = ("generator.tanh=false", "loss=saturating", "relu_only", "rms", "generator=patch", "disc=patch",
                "data=gratings", "data.count=1000", "study=width")  # fmt: skip
    assert [words for words in expected if words not in process.stdout] == []
