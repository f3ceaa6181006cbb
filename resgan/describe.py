"""Describe networks without training them: `python -m resgan.describe generator.blocks=4`."""

from typing import Any

from resgan.checking import OptionsError, check
from resgan.command import Command, Job, run_command
from resgan.options import Folder, Gaussians, Shapes, Torchvision, TrainOptions

COMMAND = Command(
    name="describe",
    config="train",
    options=TrainOptions,
    about="""Describe the networks of any configuration of `resgan.train` without training them: layer by layer the
shape, the size of the signal at the start and of the gradient on its way back, for both positions of the switch side by
side; parameters, floating point operations. No data is read.""",
    examples="""  python -m resgan.describe
  python -m resgan.describe generator.blocks=8 disc.blocks=8 generator.norm=none disc.norm=none
  python -m resgan.describe data=cifar10 generator.join=scaled disc.join=scaled
  python -m resgan.describe data=cifar10 generator=sngan disc=sngan""",
)
BATCH = 64
CLASSES = {"shapes": 48, "cifar100": 100}  # 10 of the other sets
SHAPES = {"mnist": (1, 28, 28), "fashionmnist": (1, 28, 28), "kmnist": (1, 28, 28), "stl10": (3, 96, 96)}


def main() -> None:
    run_command(COMMAND, describe)


def describe(options: TrainOptions, job: Job) -> None:
    shape = shape_of(options.data)
    for network in ("generator", "disc"):
        print("\n".join(table(options, network, shape)))


def shape_of(data: Gaussians | Shapes | Folder | Torchvision) -> tuple[int, ...]:
    """Of one sample, without reading any."""
    match data:
        case Gaussians():
            return (2,)
        case Shapes(size=size):
            return (3, size, size)
        case Folder(size=None):
            raise OptionsError("data.size=null: the size is what is to be described; give data.size")
        case Folder(size=size, channels=channels):
            return (channels, int(size or 0), int(size or 0))
        case Torchvision(name=name):
            return SHAPES.get(name, (3, 32, 32))


def classes_of(options: TrainOptions) -> dict[str, float]:
    """As many as the data has, without reading any; none where the networks are not told."""
    from resgan.build import is_conditional

    data = options.data
    if not is_conditional(options):
        return {}
    if isinstance(data, Folder):
        raise OptionsError("generator.conditional: the classes of a folder are not known here, where no data is read")
    count = data.modes if isinstance(data, Gaussians) else CLASSES.get(data.name, 10)
    return {str(k): 1 / count for k in range(count)}


def table(options: TrainOptions, network: str, shape: tuple[int, ...]) -> list[str]:
    """One network: a line a layer, a pair of columns for each position of the switch."""
    arms = {words: arm(options, network, shape, residual) for words, residual in (("residual", True), ("plain", False))}
    made = {words: found for words, found in arms.items() if not isinstance(found, str)}
    lines = ["", f"{network}: {getattr(options, network).name}"]
    lines += [f"  {words}: {found}" for words, found in arms.items() if isinstance(found, str)]
    for words, (counts, _) in made.items():
        lines.append(f"  {words}: {counts['parameters']:,} parameters, {counts['flops'] / 1e6:.4g} MFLOP a sample")
    lines.append("  " + " " * 40 + "".join(f"{words:>20}" for words in made))
    lines.append(f"  {'output of':<28}{'shape':<12}" + f"{'rms':>10}{'gradient':>10}" * len(made))
    for rows in zip(*(rows for _, rows in made.values()), strict=True):
        size = "x".join(map(str, rows[0].shape)) or "1"
        lines.append(f"  {rows[0].name:<28}{size:<12}" + "".join(f"{r.rms:>10.3g}{r.gradient:>10.3g}" for r in rows))
    return lines


def arm(options: TrainOptions, network: str, shape: tuple[int, ...], residual: bool) -> Any:
    """(counts, scales) at one position of the switch, or in words why there is no such network."""
    import torch

    from resgan import build
    from resgan.keys import keyed_generator
    from resgan.probes.scale import scales

    values = options.model_dump()
    values[network]["residual"] = residual
    try:
        given = check(TrainOptions, values)
    except OptionsError as error:
        return str(error)
    classes = classes_of(given)
    generator, disc = build.build_networks(build.spec_of_networks(given, shape, classes=classes))
    net, width = (generator, (given.generator.latent_dim,)) if network == "generator" else (disc, shape)
    inputs = [torch.randn(BATCH, *width, generator=keyed_generator(given.seed, "describe"))]
    inputs += [torch.arange(BATCH) % len(classes)] if classes else []
    counts = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "flops": build.flops(net, *(tensor[:1] for tensor in inputs)),
    }
    return counts, scales(net, *inputs)


if __name__ == "__main__":
    main()
