"""Made-up run directories like those of training, written instantly with chosen scores."""

import itertools
import json
from pathlib import Path

import numpy as np
import torch
import yaml

from helpers.options import nested, options_of
from resgan.base.images import save_png, scatter
from resgan.base.plain_data import flat

CARD = {"n_fake": 10000, "n_real": 100, "data": "gaussians25", "split": "train", "averaged": True}
RESULT = {
    "status": "finished", "arm": "both", "seed": 0, "images_seen": 1000, "seconds": 12.0, "primary": "tv",
    "objective": 0.5, "scores": {"tv": 0.5}, "best": None, "cards": {}, "start": None,
    "parameters": {"generator": 1, "disc": 1},
}  # fmt: skip
COMMIT = {"commit": "0123456789abcdef", "dirty": False}


def make_run(
    path: Path,
    *,
    g: bool,
    d: bool,
    seed: int = 0,
    tv: float | None = 0.5,  # None: diverged
    finished: bool = True,
    variance_ratio: float = 1.0,
    card: dict | None = None,
    git: dict | None = None,
    picture: bool = False,
    study: str | None = None,
    overrides: tuple[str, ...] = (),
    more: dict[str, float | None] | None = None,  # scores
    options: dict | None = None,  # dotted, to add to the composed configuration, e.g. of searches
    loss_d: float | None = None,  # the last reading of D's loss
    start: float = 1.0,  # tv at step 0
) -> Path:
    config = base_config(overrides)
    config["generator"] |= {"residual": g}
    config["disc"] |= {"residual": d}
    config |= {"seed": seed, "study": study}
    config = nested(flat(config) | (options or {}))
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    session = {"time": f"2020-01-01T00:00:{seed:02d}", "command": "python -m resgan.train", "resgan": "0.1.0",
               "git": git or COMMIT, "python": "3.11", "torch": "2", "pytorch_lightning": "2.6", "device": "cpu: x",
               "threads": 1}  # fmt: skip
    (path / "provenance.json").write_text(json.dumps({"sessions": [session]}))
    scores = {"tv": tv, "variance_ratio": variance_ratio} | (more or {})
    curve = [(n, {"tv": start - (start - (tv or 1)) * n / 1000, "variance_ratio": 1.0}) for n in (0, 500, 1000)]
    lines = [{"images_seen": n, "kind": "scores", "seconds": 1.0, "scores": s} for n, s in curve]
    lines += [{"images_seen": 1000, "kind": "losses", "loss_d": loss_d}] if loss_d is not None else []
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if picture:
        (path / "samples").mkdir()
        save_png(scatter(torch.randn(50, 2)), path / "samples" / "000001000.png")
    if finished:
        result = {
            "status": "diverged" if tv is None else "finished",
            "primary": "tv",
            "objective": 1.0 if tv is None else tv,
            "scores": scores if tv is not None else dict.fromkeys(scores),
            "best": {"images_seen": 1000, "scores": scores} if tv is not None else None,
            "cards": dict.fromkeys(scores, CARD | (card or {})),
            "start": {"logit_spread": 0.3, "input_gradient": 0.5},
            "parameters": {"generator": 1000, "disc": 900},
            "flops": {"generator": 2e6, "disc": 1e6},
            "images_seen": 1000,
            "seconds": 12.0,
            "seed": seed,
        }
        (path / "result.json").write_text(json.dumps(result))
    return path


_configs: dict[tuple[str, ...], str] = {}


def base_config(overrides: tuple[str, ...]) -> dict:
    if overrides not in _configs:
        found = "trainer.precision=32-true"  # no run stores auto
        _configs[overrides] = json.dumps(options_of("data=gaussians", "metrics=exact", found, *overrides))
    return json.loads(_configs[overrides])


def make_study(
    path: Path, *, seeds: int = 8, g: float = 0.0, d: float = 0.0, gxd: float = 0.0, noise: float = 0.05, **given
) -> Path:
    """Write a study with planted effects on the logit of tv; positive: residual blocks help."""
    rng = np.random.default_rng(seeds)
    for seed, rg, rd in itertools.product(range(seeds), (False, True), (False, True)):
        effect = g * (rg - 0.5) + d * (rd - 0.5) + gxd * (rg - 0.5) * (rd - 0.5)
        tv = 1 / (1 + np.exp(effect + noise * rng.normal()))
        make_run(path / f"g{int(rg)}d{int(rd)}" / str(seed), g=rg, d=rd, seed=seed, tv=float(tv), **given)
    return path
