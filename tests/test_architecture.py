"""The pages that describe the code: the layers of the contract, only names that exist, tables that match options."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from resgan.builders.networks import NETWORKS
from resgan.data.torchvision_sets import TORCHVISION_SETS
from resgan.nets.blocks import BLOCKS
from resgan.nets.layers import NORMS
from resgan.options.choices import Kind, Norm
from resgan.options.conf import files_of
from resgan.options.data import Torchvision
from resgan.options.train import TrainOptions
from resgan.options.validation import choices
from resgan.training.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
# Pages about the current code; not those of results, which are about the code that made them.
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def contract() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return layers


def pictured(page: str) -> list[str]:
    """Return the layers in the diagram, top first: the text of each line before the first gap."""
    [picture] = re.findall(r"^## Layers$.*?^```\n(.*?)^```$", page, flags=re.M | re.S)
    return [re.split(r"\s{2,}", line)[0] for line in picture.splitlines()]


def without_recipes(page: str) -> str:
    """Remove fenced blocks from a page, and the line before a block that names the file it makes."""
    return re.sub(r"(?:^`[^`\n]+`\n\n)?^```.*?^```$", "", page, flags=re.M | re.S)


def test_the_picture_has_the_layers_of_the_contract():
    assert pictured(PAGE) == contract()


def test_every_package_has_a_line():
    packages = {f"resgan/{path.parent.name}/" for path in (ROOT / "resgan").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(resgan/\w+/)` \|", PAGE, flags=re.M)) == packages


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_path_in_a_page_is_there(path):
    text = without_recipes(path.read_text())
    named = re.findall(r"`((?:resgan|conf|tests|docs|scripts)/[\w./-]*|\w+\.toml|\.ci/\w+)`", text)
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    missing = {name for name in named if not (ROOT / name).exists()}
    missing |= {name for name in linked if not (path.parent / name).exists()}
    assert missing == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_to_a_heading_finds_it(path):
    for page, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text()):
        target = (path.parent / page if page else path).read_text()
        headings = re.findall(r"^#+ (.+)$", target, flags=re.M)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_name_beside_a_file_is_in_it():
    """Names and files are paired in table rows, | `name` | `file` |, and in sentences, `name` in `file`."""
    pairs = re.findall(r"`(\w+)`(?: \| | in )`(resgan/[\w/]+\.py)`", PAGE)
    assert len(pairs) > 25
    for name, path in pairs:
        assert re.search(rf"^ *(?:def|class) {name}\b|^ *{name}\b.*[:=]", (ROOT / path).read_text(), flags=re.M), name


def test_the_tables_have_the_names_that_options_allow():
    assert set(BLOCKS) == set(get_args(Kind))
    assert set(NORMS) == set(get_args(Norm))
    assert set(LOSSES) == set(files_of("loss"))
    assert set(TORCHVISION_SETS) == set(choices(Torchvision.model_fields["name"]))
    for network in ("generator", "disc"):
        models = get_args(TrainOptions.model_fields[network].annotation)
        names = {name for model in models for name in choices(model.model_fields["name"])}
        assert {*NETWORKS, "module"} == names  # a module is of the user's own
