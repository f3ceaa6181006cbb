"""The page as its reader meets it: the first words, structure, contrast, and commands."""

import itertools
import re
from html.parser import HTMLParser

import pytest
from helpers.made_runs import make_run, make_study

from resgan.report import palette
from resgan.report.claims import CLAIMS
from resgan.report.command import command_of
from resgan.report.commands import commands_behind
from resgan.report.endpoint import endpoint_in_words, ends_in_words
from resgan.report.page import files
from resgan.report.panels import panels
from resgan.report.records import read_runs

ARMS = list(itertools.product((False, True), repeat=2))


def page_of(*paths, name: str = "report.html", **given) -> str:
    return files(panels(read_runs(paths)), [], mixed_code=False, **given)[name].decode()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "s"
    return make_study(path, seeds=3, g=0.5, picture=True)


# The first screen.


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "tv",
            "tv, total variation distance to a perfect generator: 0 is perfect, 1 is the worst (no sample is valid); "
            "lower is better.",
        ),
        (
            "validity",
            "validity, the primary endpoint: 1 is perfect, 0 is the worst (no sample is valid); higher is better.",
        ),
        (
            "fd_cifarnet_10k_full",
            "fd_cifarnet_10k_full, Frechet distance to the features of real images: 0 is perfect, there is no worst "
            "value; lower is better.",
        ),
        ("classes", "classes, the primary endpoint: higher is better."),
    ],
)
def test_the_endpoint_is_explained_in_one_line(tmp_path, name, said):
    make_run(tmp_path / "a", g=True, d=True, more={name: 0.5})
    assert endpoint_in_words(panels(read_runs([tmp_path])), name) == said


def test_where_the_runs_lie_between_perfect_and_untrained(tmp_path):
    for k, tv in enumerate((0.2, 0.3)):
        make_run(tmp_path / str(k), g=True, d=True, seed=k, tv=tv, start=0.9)
    said = ends_in_words(panels(read_runs([tmp_path])), "tv")
    assert said == "tv of the runs: 0.2 to 0.3 at their end, 0.9 untrained (step 0)."


def test_runs_that_are_too_short_say_so_why_and_draw_no_effect(tmp_path):
    for seed, (g, d) in itertools.product(range(4), ARMS):
        make_run(tmp_path / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.9 + 0.005 * (seed % 3 - 1), start=0.9)
    text = page_of(tmp_path, name="report.md")
    assert text.startswith(
        "# These runs are too short to tell\n\nNo arm is shown to be better at its end than at step 0, in tv. "
        "The runs saw 512 thousand samples (total_kimg).\n\ntv, total variation distance"
    )
    assert "figures/effects" not in text
    for verdict in ("not told apart", "within the margin:", "helps", "hurts"):
        assert verdict not in text.split("## How to read this")[0]


def test_claims_that_are_not_measured_fold_into_one_line(study):
    html, text = page_of(study), page_of(study, name="report.md")
    number = sum(claim.contrast is None for claim in CLAIMS)
    assert f"<summary>{number} claims not measured here: 2, 4, 5, 6, 7, 8, 9, 10</summary>" in html
    assert f"{number} claims not measured here: 2 (a probe of memorisation); 4 (a probe of corrections)" in text
    assert html.count('<div class="claim">') == len(CLAIMS) - number


# The structure.


class Outline(HTMLParser):
    """Headings, tables, pictures and controls of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag == name]


def test_the_page_can_be_read_without_eyes_and_without_scripts(study):
    html = page_of(study, command="python -m resgan.report runs/s")
    outline = Outline(html)
    assert outline.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))  # none is skipped
    assert all(image["alt"] for image in outline.all("img"))
    assert len(outline.all("caption")) == len(outline.all("table")) > 2
    assert all(head["scope"] in ("col", "row") for head in outline.all("th"))
    assert all(region["aria-label"] for region in outline.all("div") if region.get("role") == "region")
    assert outline.all("button") == []  # those that need the script are made by it
    assert len(outline.all("pre")) == len(outline.all("figure")) > 2  # commands stand there to be read


def test_every_part_is_in_the_contents(study):
    html = page_of(study)
    nav = html.split("<nav")[1].split("</nav>")[0]
    linked = re.findall(r'href="#([^"]+)"', nav)
    assert linked == re.findall(r'<h2 id="([^"]+)"', html.split("</nav>")[1])
    assert len(set(linked)) == len(linked)


# Commands.


def test_the_commands_behind_a_figure(tmp_path):
    for seed in range(2):
        make_run(tmp_path / str(seed), g=True, d=True, seed=seed)
    records = read_runs([tmp_path])
    assert commands_behind(records, "python -m resgan.report runs/s").splitlines() == [
        "# 2 runs, at commit 0123456789",
        "python -m resgan.train",
        "# the figures of this page",
        "python -m resgan.report runs/s",
    ]
    assert commands_behind(records, "").splitlines()[-1] == "python -m resgan.train"


def test_the_command_of_the_report_is_as_it_was_typed():
    from resgan.report.__main__ import parser

    typed = parser().parse_args(["runs/a b", "runs/c", "--out", "x", "--mixed-code"])
    assert command_of(typed) == "python -m resgan.report 'runs/a b' runs/c --mixed-code"


# Contrast, as WCAG 2.2 defines it.


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the example of many handbooks


@pytest.mark.parametrize("colours", [palette.LIGHT, palette.DARK], ids=["light", "dark"])
def test_text_and_controls_stand_out(colours):
    on_paper = [(text, ground) for text in ("ink", "quiet", "link", "good", "bad", "open") for ground in ("paper",)]
    on_shade = [(text, "shade") for text in ("ink", "quiet", "link")]
    badges = [("good", "good-shade"), ("bad", "bad-shade"), ("open", "open-shade"), ("quiet", "plain-shade")]
    for text, ground in on_paper + on_shade + badges:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for edge in ("edge", "link"):  # of controls, and the ring of the focus
        assert contrast(colours[edge], colours["paper"]) >= 3, edge


def test_lines_of_figures_stand_out_on_white():
    for colour in palette.LINES:
        assert contrast(colour, "#ffffff") >= 3, colour
    assert len(set(palette.LINES)) == len(palette.LINES)


def test_the_page_has_no_colours_but_those_of_the_palette(study):
    style = page_of(study).split("<style>")[1].split("</style>")[0]
    known = {*palette.LIGHT.values(), *palette.DARK.values(), "#fff"}  # white lies behind figures
    assert set(re.findall(r"#[0-9a-f]{3,6}\b", style)) <= known
