"""Record checkpoints and run directories as the commands write them today, for later versions to open.

    python scripts/record_earlier_files.py

They go to tests/data/earlier/<commit>/ with a recorded.json of their contents, for tests/test_earlier_files.py, and a
defaults.json of the values that short command lines compose to, for tests/runs/test_history.py.
Run it at a clean commit whose files are to be kept; the existing files are from commit 770148d.
It uses only the commands and `resgan.load_gan`, so that it also runs at later commits.

Files are compressed, since half of such a tiny checkpoint is names and padding.
"""

import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

import resgan

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "earlier"
ENVIRONMENT = {"WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}

QUIET = ["trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=false"]
# A few steps, the first with penalties. Widths are tiny, since a file holds each weight up to seven times.
SHORT = [*QUIET, "metrics.samples=50", "batch_size=4", "total_kimg=0.02",
         "score_kimg=0", "sample_kimg=0", "save_kimg=0"]  # fmt: skip
NARROW = ["generator.width=4", "disc.width=4", "generator.latent_dim=3"]
BY_STAGE = ["generator.width=[4,3,2]", "disc.width=[4,3,2]", "generator.latent_dim=3"]
MLPS = ["generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "generator.latent_dim=3"]
POINTS = ["data=gaussians", "data.size=500", *MLPS, "metrics=exact"]
GROUPS = ["generator.group_size=2", "disc.group_size=2", "generator.blocks=1", "disc.blocks=1"]

# Every network, and some with unusual values of most options.
CHECKPOINTS = {
    "lab": [*SHORT, *BY_STAGE],
    "lab_options": [
        *SHORT, *NARROW, "generator.block=stylegan2", "generator.join=gated", "generator.norm=group",
        "generator.spectral=true", "generator.image_skips=true", "generator.conditional=norm",
        "disc.block=postact", "disc.layer_scale=0.5", "disc.norm=group", "disc.spectral=true",
        "disc.image_skips=true", "disc.conditional=projection", "disc.residual=false", "loss=hinge",
    ],
    "mlp": [*SHORT, *POINTS],
    "mlp_conditional": [
        *SHORT, *POINTS, "data.modes=4", "generator.norm=batch", "generator.conditional=norm",
        "disc.norm=layer", "disc.conditional=concat", "generator.residual=false", "disc.join=gated",
    ],
    "sngan": [*SHORT, *NARROW, "generator=sngan", "disc=sngan", "data.size=32", "loss=hinge"],
    "resnet101": [
        *SHORT, *NARROW, "generator=wgan_gp_101", "disc=wgan_gp_101", "data.size=64", "loss=wasserstein",
        "batch_size=2", "total_kimg=0.01",
    ],
    "r3gan": [*SHORT, *BY_STAGE, *GROUPS, "generator=r3gan", "disc=r3gan", "generator.init=he", "disc.init=he"],
    "r3gan_conditional": [
        *SHORT, *BY_STAGE, *GROUPS, "generator=r3gan", "disc=r3gan",
        "generator.conditional=concat", "disc.conditional=projection",
    ],
    "dcgan": [
        *SHORT, "generator=dcgan", "disc=dcgan", "generator.width=8", "disc.width=8", "generator.latent_dim=3",
        "generator.init=he", "disc.init=orthogonal", "generator.residual=true", "disc.projection=trunk",
        "generator.ema_kimg=0.02", "loss=nonsaturating",
    ],
}  # fmt: skip
LARGE = ["resnet101"]  # has so many tensors that its checkpoint takes a megabyte: see `lightened`

RUN = [*QUIET, *POINTS, "metrics.samples=500", "batch_size=50", "score_kimg=1", "sample_kimg=0", "save_kimg=1"]
# Stopped by a signal, while options are being annealed.
STOPPED = [
    *RUN, "total_kimg=6", "disc.steps=2", "loss.r1_interval=2", "loss.r1_final=0.02", "generator.lr_final=5e-4",
    "disc.beta2_final=0.9", "generator.ema_kimg_final=1", "burn_in_kimg=5",
]  # fmt: skip
# Killed, so that its measurements reach beyond its checkpoint. With running statistics, classes, adaptive augmentation.
KILLED = [
    *QUIET, *NARROW, "generator.norm=batch", "generator.conditional=concat", "disc.conditional=concat",
    "loss=nonsaturating", "loss.r1_interval=3", "augment=adaptive", "augment.target=0.05", "augment.adapt_kimg=0.5",
    "metrics.samples=50", "batch_size=4", "total_kimg=0.4", "score_kimg=0", "sample_kimg=0", "save_kimg=0.18",
]  # fmt: skip
STACK = [*RUN, "total_kimg=2", "seeds=0-1"]

COMPOSED = [
    "", "data=gaussians", "data=cifar10", "data=folder data.path=pictures data.size=32", "generator=mlp disc=mlp",
    "generator=lab_plain disc=lab_skip", "metrics=full", "loss=wasserstein", "augment=adaptive", "study=factorial",
    "study=depth", "study=data_size", "study=gaussians", "study=gaussians_tuning", "study=tuning", "study=smoke",
]  # fmt: skip

EVALUATED = {"lab": ["real=shapes", "metrics=quick"]}
EVALUATION = ["metrics.samples=50", "progress=false", "device=cpu"]
SEEDS = range(4)  # seeds of the samples


# Summaries of the content of a file.


def machine() -> dict[str, str]:
    """Describe the machine; on a different one the last bits of a result may differ."""
    info = Path("/proc/cpuinfo")
    lines = (line.partition(":") for line in info.read_text().splitlines()) if info.exists() else []
    found = {key.strip(): value.strip() for key, _, value in lines}
    model = [found[key] for key in ("vendor_id", "cpu family", "model") if key in found]
    return {
        "torch": torch.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "processor": " ".join(model) or platform.machine(),
    }


def digest(value: Tensor | dict[str, Any]) -> str:
    """Return the SHA-256 of the bytes of a tensor, or of all tensors of a state, in the order of their keys."""
    tensors = [value] if isinstance(value, Tensor) else [tensor for _, tensor in sorted(tensors_of(value))]
    return hashlib.sha256(b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)).hexdigest()


def tensors_of(state: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a state_dict, or of an optimiser's, whose keys are numbers."""
    if isinstance(state, Tensor):
        yield name, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from tensors_of(value, f"{name}.{key}")


def summary(tensor: Tensor) -> dict[str, Any]:
    """Summarise a tensor: a hash of its bytes, and a dozen of its values."""
    return {"sha256": digest(tensor), "values": tensor.flatten()[places(tensor.numel())].tolist()}


def places(count: int) -> list[int]:
    """Return a dozen evenly spaced indices."""
    return [k * (count - 1) // 11 for k in range(12)]


def contents(path: Path) -> dict[str, Any]:
    """Summarise the content of a checkpoint, and the outputs of its networks."""
    state, gan = torch.load(path, weights_only=True), resgan.load_gan(path)
    samples = gan.sample(SEEDS)
    labels = gan.labels(SEEDS)
    networks = {"generator": gan.generator_raw, "generator_ema": gan.generator, "disc": gan.disc}
    return {
        "images_seen": gan.images_seen,
        "weights": {name: digest(net.state_dict()) for name, net in networks.items()},
        "optimisers": {name: digest(state[name]) for name in ("generator_adam", "disc_adam") if name in state},
        "samples": summary(samples),
        "raw_samples": summary(gan.sample(SEEDS, averaged=False)),
        "logits": gan.disc(samples, *([] if labels is None else [labels])).tolist(),
    }


def measurements(run: Path) -> list[dict[str, Any]]:
    """Read the lines of metrics.jsonl, without times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("seconds", "time")} for line in lines]


# Making the files.


def command(name: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", f"resgan.{name}", *arguments], stdout=subprocess.DEVNULL, env=os.environ | ENVIRONMENT
    )


def run(name: str, *arguments: str) -> None:
    if command(name, *arguments).wait():
        sys.exit(f"failed: python -m resgan.{name} {' '.join(arguments)}")


def stopped(*arguments: str, run_dir: Path, by: int, at: str) -> None:
    """Start a run and send it a signal a moment after its measurements contain the text `at`, well before its end."""
    process, file = command("train", *arguments, f"run_dir={run_dir}"), run_dir / "metrics.jsonl"
    while not (file.exists() and at in file.read_text()):
        assert process.poll() is None, f"ended before {at}"
        time.sleep(0.002)
    time.sleep(0.03)
    process.send_signal(by)
    process.wait()
    assert not (run_dir / "result.json").exists(), "the signal came too late"


def lightened(state: dict[str, Any]) -> dict[str, Any]:
    """Drop the states of Adam and round every weight to a power of two, which keeps the networks' outputs varied."""
    return {key: rounded(value) for key, value in state.items() if not key.endswith("_adam")}


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return torch.where(value == 0, value, value.sign() * value.abs().log2().round().exp2())


def pack(path: Path, out: Path) -> None:
    """Pack a checkpoint, or a run without its lock, after checking that nothing in it tells where it was made."""
    for file in [path, *path.rglob("*")]:
        said = file.read_bytes().decode(errors="ignore") if file.is_file() else ""
        for place in (os.getcwd(), sys.prefix, os.path.expanduser("~/")):
            assert place not in said, f"{file} holds {place}"
        if file.suffix in (".json", ".jsonl", ".yaml"):
            assert not re.search(rf"\b{re.escape(platform.node())}\b", said), f"{file} names this machine"
    if path.is_file():
        (out / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
        return
    with tarfile.open(out / f"{path.name}.tar.xz", "w:xz", preset=9) as archive:
        archive.add(path, filter=nobodys)


def nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return None if entry.name.endswith("/.lock") else entry


def record_checkpoint(name: str, arguments: list[str], out: Path) -> dict[str, Any]:
    run("train", *arguments, f"run_dir={name}")
    file = Path(name, "checkpoints", "final.ckpt")
    file = file.rename(f"{name}.ckpt")
    if name in LARGE:
        torch.save(lightened(torch.load(file, weights_only=True)), file)
    pack(file, out)
    result = json.loads(Path(name, "result.json").read_text())
    found = {"arguments": arguments, "lightened": name in LARGE, "scores": result["scores"], **contents(file)}
    if name in EVALUATED:
        found["evaluate"] = [*EVALUATED[name], *EVALUATION]
        run("evaluate", f"ckpt={file}", *found["evaluate"], f"outdir={name}/evaluation")
        [line] = measurements(Path(name, "evaluation"))
        found["evaluated"] = line["scores"]
    return found


def record_stopped(name: str, arguments: list[str], out: Path, *, by: int, at: str) -> dict[str, Any]:
    """Record a run that was stopped, and its results after it is continued."""
    path = Path(name)
    stopped(*arguments, run_dir=path, by=by, at=at)
    pack(path, out)
    stopped_at = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["images_seen"]
    run("train", *arguments, f"run_dir={path}")
    return {
        "arguments": arguments,
        "stopped_at": stopped_at,
        "final": contents(path / "checkpoints" / "final.ckpt"),
        "scores": json.loads((path / "result.json").read_text())["scores"],
        "metrics": measurements(path),
    }


def record_stack(out: Path) -> dict[str, Any]:
    """Record two finished runs that were trained as one, with all scores of both."""
    run("train", *STACK, "run_dir=stack")
    pack(Path("stack"), out)
    arguments = ["metrics=exact", *EVALUATION]
    run("evaluate", "ckpt=stack", *arguments, "outdir=evaluation")
    return {
        "arguments": STACK,
        "final": {seed: contents(Path("stack", seed, "checkpoints", "final.ckpt")) for seed in ("0", "1")},
        "evaluate": arguments,
        "evaluated": [line["scores"] for line in measurements(Path("evaluation"))],
    }


def composed(arguments: list[str]) -> dict[str, Any]:
    """Return all options that a command line composes to, by dotted name."""
    conf = Path(resgan.__file__).resolve().parent.parent / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        return dict(flat(OmegaConf.to_container(compose("train", arguments), resolve=True)))


def flat(nested: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(nested, dict):
        yield name, nested
        return
    for key, value in nested.items():
        yield from flat(value, f"{name}.{key}".removeprefix("."))


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        ENVIRONMENT["RESGAN_CACHE"] = f"{folder}/cache"
        out = Path("out")
        out.mkdir()
        checkpoints = {name: record_checkpoint(name, arguments, out) for name, arguments in CHECKPOINTS.items()}
        runs = {
            "stopped": record_stopped(
                "stopped", STOPPED, out, by=signal.SIGTERM, at='"images_seen": 2000, "kind": "scores"'
            ),
            "killed": record_stopped("killed", KILLED, out, by=signal.SIGKILL, at='"images_seen": 200, '),
        }
        stack = record_stack(out)
        session = json.loads(Path("stack", "0", "provenance.json").read_text())["sessions"][0]
        recorded = {"git": session["git"], "machine": machine()}
        recorded |= {"checkpoints": checkpoints, "runs": runs, "stack": stack}
        (out / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")
        defaults = {line: composed(line.split()) for line in COMPOSED}
        (out / "defaults.json").write_text(json.dumps(defaults) + "\n")
        target = DATA / (session["git"] or {"commit": "unknown"})["commit"][:7]
        shutil.copytree(out, target, dirs_exist_ok=True)
    print(f"written to {target}")


if __name__ == "__main__":
    main()
