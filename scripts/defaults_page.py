"""Write docs/defaults.md from the runs that scripts/choose_defaults.sh made.

python scripts/defaults_page.py RUNS
"""

import json
import statistics
import sys
from pathlib import Path

import yaml

DOCS = Path(__file__).resolve().parent.parent / "docs"
ARMS = {
    "both residual": (True, True),
    "residual G": (True, False),
    "residual D": (False, True),
    "plain": (False, False),
}
SCORE = "fd_cifarnet_10k_full"


def read(candidate: Path) -> dict[str, float]:
    """The score of each arm; infinite where it diverged."""
    found = {}
    for file in candidate.rglob("result.json"):
        result = json.loads(file.read_text())
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        residual = (config["generator"]["residual"], config["disc"]["residual"])
        name = next(name for name, key in ARMS.items() if key == residual)
        value = result["scores"].get(SCORE)
        found[name] = float("inf") if value is None else value
    return found


def ranks(scores: dict[str, dict[str, float]]) -> dict[str, float]:
    """The mean over the arms of each candidate's rank within the arm; ties share the mean of their places."""
    mean = {}
    for candidate in scores:
        places = []
        for arm in ARMS:
            values = sorted(other[arm] for other in scores.values())
            own = [k for k, value in enumerate(values, 1) if value == scores[candidate][arm]]
            places.append(statistics.mean(own))
        mean[candidate] = statistics.mean(places)
    return mean


def main() -> None:
    runs = Path(sys.argv[1])
    scores = {folder.name: read(folder) for folder in sorted(runs.iterdir()) if folder.is_dir()}
    unfinished = [name for name, arms in scores.items() if set(arms) != set(ARMS)]
    if unfinished:
        sys.exit(f"{runs}: not all four arms of {', '.join(unfinished)}")
    mean = ranks(scores)
    sessions = [json.loads(file.read_text())["sessions"][-1] for file in runs.rglob("provenance.json")]
    commits = sorted({s["git"]["commit"][:10] + (" with changes" if s["git"]["dirty"] else "") for s in sessions})
    rows = ["| candidate | " + " | ".join(ARMS) + " | mean rank |", "|---|" + "---:|" * (len(ARMS) + 1)]
    for name in sorted(scores, key=lambda name: mean[name]):
        cells = [f"{scores[name][arm]:.3g}" for arm in ARMS]
        rows.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} | {mean[name]:.2f} |")
    (DOCS / "defaults.md").write_text(
        PAGE.format(table="\n".join(rows), score=SCORE, commit=", ".join(commits), **sessions[0])
    )
    print(f"best: {min(mean, key=lambda name: mean[name])}")


PAGE = """# How the default values were chosen

A default that suits one arm decides the experiment before it begins. So candidates are compared in all four arms at
equal budget, ranked within each arm, and chosen by the mean of the four ranks.

Each cell: `{score}` on `data=shapes` after 6 thousand images (one block a stage, width 32, batch 16,
relativistic loss, learning rates 1e-3, seed 0, R1 and R2 of the weight `penalty` every eighth step); lower is better.
The budget is too short for valid pictures, so the primary endpoint does not rank. One seed: neighbours in the table
differ by little.

{table}

Made by `scripts/choose_defaults.sh`; commit {commit}; {device}, one thread a run, torch {torch}.

## How far the default run comes

Not far enough for its own primary endpoint: after the 48 thousand images that two slow cores see in five minutes no
sample is valid in any arm, and `tv` is 1 ([first-light.md](first-light.md)); what moves is `{score}`,
from 3.7 or 5.7 to between 0.4 and 0.6. Validity comes later. `python -m resgan.train total_kimg=180 score_kimg=20
trainer.threads=1` (both residual, seed 0, commit 8fd43dff7b, the machine above), which decays its learning rates over
180 thousand images:

| thousand images | 40 | 60 | 80 | 100 | 120 | 140 | 160 | 180 |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
| `validity` | 0 | 0.0018 | 0.0069 | 0.0149 | 0.0276 | 0.0332 | 0.0385 | 0.0413 |
| `modes` of 600 | 0 | 10 | 32 | 51 | 79 | 87 | 101 | 99 |
| `novelty` | - | - | - | - | 0.46 | 0.44 | 0.43 | 0.44 |
| `{score}` | 0.334 | 0.255 | 0.221 | 0.205 | 0.200 | 0.200 | 0.199 | 0.205 |

So on such a machine take `total_kimg` as long as you can, or compare arms by the distance.

## On pictures the penalty is not neutral either

In first light's setting (32 x 32, penalty 0.3, seed 0) the distance came from 6.1 to 1.9 and 1.6 with a residual
generator, and from 5.8 to 3.9 and 4.1 with a plain one, whose samples had all but collapsed. Above, the plain arm also
fared worst at the lowest penalty. One seed each: a reason to tune every arm alike before comparing, not a result.

## What the comparison does not decide

- **One block a stage, width 32**: what trains in five minutes on two cores. Studies of the switch should take two or
  more blocks (`generator.blocks=2 disc.blocks=2`): with one there is hardly a path to speak of.
- **Nothing closes the generator.** In a trial with a tanh at its end (two blocks, no norm, penalty 0.5, both residual)
  all samples were black after 16 thousand images: most pixels of the data are, and a saturated tanh has no gradient.
- **He initialisation with the gain of the leaky ReLU**, R1 *and* R2, the same normalisation in G and in D: see
  [design.md](design.md), section 2.
- **Cosine decay of both learning rates** to 0 over the run: a short run ends with the average of a game come to rest.
"""

if __name__ == "__main__":
    main()
