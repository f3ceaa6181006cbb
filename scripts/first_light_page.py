"""Write docs/first-light.md and its images from the runs of scripts/first_light.sh.

python scripts/first_light_page.py RUNS_ON_IMAGES RUNS_ON_SHAPES
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import yaml

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image, ImageDraw

from resgan.runs.directory import Run

DOCS = Path(__file__).resolve().parent.parent / "docs"
NAMES = {
    (True, True): "both residual",
    (True, False): "residual G",
    (False, True): "residual D",
    (False, False): "plain",
}


@dataclass
class Arm:
    """A run, as shown on the page."""

    name: str
    result: dict[str, Any]
    sessions: list[dict[str, Any]]
    curve: list[tuple[int, dict[str, Any]]]  # images seen, scores
    grid: Path


def read(runs: Path) -> list[Arm]:
    """Read the four arms, in the order of NAMES."""
    found = {}
    for file in runs.rglob("result.json"):
        folder = file.parent
        result = json.loads(file.read_text())
        config = yaml.safe_load((folder / "config.yaml").read_text())
        residual = (config["generator"]["residual"], config["disc"]["residual"])
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        found[residual] = Arm(
            name=NAMES[residual],
            result=result,
            sessions=json.loads((folder / "provenance.json").read_text())["sessions"],
            curve=[(line["images_seen"], line["scores"]) for line in lines if line["kind"] == "scores"],
            grid=newest_grid(folder),
        )
    missing = [name for key, name in NAMES.items() if key not in found]
    if missing:
        sys.exit(f"{runs}: no result of {', '.join(missing)}")
    return [found[key] for key in NAMES]


def newest_grid(folder: Path) -> Path:
    """Return the newest grid of samples; reals.png, which is beside the grids, is not one."""
    path = Run(folder).last_grid()
    return path or sys.exit(f"{folder}: no samples")


def draw_curves(arms: list[Arm], score: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
    for arm in arms:
        x, y = zip(*[(n / 1000, scores[score]) for n, scores in arm.curve if scores[score] is not None], strict=True)
        axes.plot(x, y, label=arm.name, marker=".")
    axes.set(xlabel="thousand images seen", ylabel=score, yscale="log" if score.startswith("fd") else "linear")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
    plt.close(figure)


def draw_grids(arms: list[Arm], path: Path) -> None:
    """Draw the upper halves of the four grids side by side, pixel for pixel, each with a title."""
    grids = [Image.open(arm.grid).convert("RGB") for arm in arms]
    width, height, gap, title = grids[0].width, grids[0].height // 2, 12, 16
    sheet = Image.new("RGB", (4 * width + 3 * gap, title + height), "white")
    for k, (arm, grid) in enumerate(zip(arms, grids, strict=True)):
        sheet.paste(grid.crop((0, 0, width, height)), (k * (width + gap), title))
        ImageDraw.Draw(sheet).text((k * (width + gap), 2), arm.name, fill="black")
    sheet.save(path, optimize=True)


def shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def table(arms: list[Arm]) -> str:
    rows = [["", *[arm.name for arm in arms]], ["---", *["---:"] * len(arms)]]
    rows += [[f"`{name}`", *[shown(arm.result["scores"][name]) for arm in arms]] for name in arms[0].result["scores"]]
    for score in (arms[0].result["primary"],):
        rows.append([f"`{score}` at the start", *[shown(arm.curve[0][1][score]) for arm in arms]])
    rows += [
        [f"parameters of {n}", *[shown(arm.result["parameters"][n]) for arm in arms]] for n in ("generator", "disc")
    ]
    rows += [
        [f"MFLOP a sample, {n}", *[shown(arm.result["flops"][n] / 1e6) for arm in arms]] for n in ("generator", "disc")
    ]
    rows += [
        [f"at the start: {what}", *[shown(arm.result["start"][key]) for arm in arms]]
        for what, key in (("spread of D's logits", "logit_spread"), ("D's input gradient", "input_gradient"))
    ]
    rows += [
        ["images seen", *[shown(arm.result["images_seen"]) for arm in arms]],
        ["seconds, one thread", *[shown(round(arm.result["seconds"])) for arm in arms]],
        ["status", *[arm.result["status"] for arm in arms]],
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def origin(arms: list[Arm]) -> str:
    """Name the commit, versions and machine, as every figure must."""
    sessions = [session for arm in arms for session in arm.sessions]
    states = [session["git"] for session in sessions if session["git"]]
    commits = sorted({f"`{s['commit'][:10]}`" + (" with changes" if s["dirty"] else "") for s in states})
    machine = sorted(
        {f"{s['device']}, {s['threads']} thread, torch {s['torch']}, Python {s['python']}" for s in sessions}
    )
    said = f"Commit {', '.join(commits)}; {'; '.join(machine)}; seed {arms[0].result['seed']}, one run an arm."
    return f"{said} Two runs went side by side, so seconds depend on what else the machine did."


def section(title: str, about: str, arms: list[Arm], stem: str, score: str) -> str:
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    draw_grids(arms, images / f"{stem}-samples.png")
    draw_curves(arms, score, images / f"{stem}-curves.svg")
    return f"""## {title}

{about}

![32 samples of each arm, the same latents](images/{stem}-samples.png)

![{score} against images seen](images/{stem}-curves.svg)

{table(arms)}

{origin(arms)}
"""


def main() -> None:
    images, shapes = (read(Path(argument)) for argument in sys.argv[1:3])
    frechet = images[0].result["primary"]
    card = images[0].result["cards"][frechet]
    about_images = (
        f"CIFAR-10 (A. Krizhevsky, 2009) as JPEG files, {card['n_real']:,} training images at 32 x 32:\n"
        "`python -m resgan.train experiment=first_light data.path=IMAGES`.\n"
        f"`{frechet}` compares {card['n_fake']:,} samples with all training images; it is no FID, and cannot be\n"
        "compared with one."
    )
    about_shapes = (
        "`python -m resgan.train data=shapes_hard`, at the defaults of its commit: 40 thousand images, batches of 8,\n"
        "R1 = R2 = 0.1, join sum, pixel norm in the branch (`scripts/first_light.sh`). `tv` is the primary endpoint:\n"
        "0 is perfect, 1 is all invalid."
    )
    exact = next(name for name in shapes[0].result["scores"] if name.startswith("fd"))
    parts = [
        HEAD,
        section("Real images: cifar10-jpeg", about_images, images, "first-light-pictures", frechet),
        section("The hard-edged testbed", about_shapes, shapes, "first-light-shapes", exact),
    ]
    (DOCS / "first-light.md").write_text("\n".join(parts))


HEAD = """# First light

All four arms, trained by `scripts/first_light.sh IMAGES`, which also wrote this page. **One seed an arm and a small
budget: this shows how far each arm came, not which arm is better.** Learning rates and penalty weights decide much of
it, and not alike in all arms ([defaults.md](defaults.md)). Grids show the averaged generators on the same latents.
Where all images of an arm are alike it has collapsed, and its distance then says how far that one image is off.
"""

if __name__ == "__main__":
    main()
