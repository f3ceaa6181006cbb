"""Networks described without training: shapes, scales, counts, for both positions of the switch."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resgan.base.errors import OptionsError
from resgan.base.rng import make_generator
from resgan.builders.data import expected_class_shares, expected_shape
from resgan.builders.networks import build_networks, flops, parameters, spec_of_networks
from resgan.experiment.study import Job
from resgan.nets.matched import match_variances
from resgan.options.train import TrainOptions
from resgan.probes.response import halved, relative_response, shift
from resgan.probes.scale import Scale, scales

BATCH = 64
HIDDEN, FROM_BOTH = 0.1, 1e-3  # a response below this share of the larger one, or below this value, is hidden


@dataclass(frozen=True, kw_only=True)
class Arm:
    """An untrained network at one position of the switch."""

    counts: dict[str, int]  # of parameters, and floating point operations of one sample
    scales: list[Scale]
    responses: dict[str, float]  # to changes of the input, by name, relative to the spread between samples


def describe(options: TrainOptions, job: Job) -> None:
    shape = expected_shape(options.data)
    for network in ("generator", "disc"):
        print("\n".join(network_table(options, network, shape)))


def network_table(options: TrainOptions, network: str, shape: tuple[int, ...]) -> list[str]:
    """Describe one network: a line per layer, a pair of columns for each position of the switch."""
    arms = {words: arm(options, network, shape, residual) for words, residual in (("residual", True), ("plain", False))}
    made = {words: found for words, found in arms.items() if not isinstance(found, str)}
    lines = ["", f"{network}: {getattr(options, network).name}"]
    lines += [f"  {words}: {found}" for words, found in arms.items() if isinstance(found, str)]
    for words, found in made.items():
        counts = found.counts
        lines.append(f"  {words}: {counts['parameters']:,} parameters, {counts['flops'] / 1e6:.4g} MFLOP a sample")
    if getattr(getattr(options, network), "init", None) == "matched":
        lines.append("  matched on normal numbers, as no data are read here; a run matches D on its data")
    lines += response_lines(made)
    lines.append("  " + " " * 40 + "".join(f"{words:>20}" for words in made))
    lines.append(f"  {'output of':<28}{'shape':<12}" + f"{'rms':>10}{'gradient':>10}" * len(made))
    for rows in zip(*(found.scales for found in made.values()), strict=True):
        size = "x".join(map(str, rows[0].shape)) or "1"
        lines.append(f"  {rows[0].name:<28}{size:<12}" + "".join(f"{r.rms:>10.3g}{r.gradient:>10.3g}" for r in rows))
    return lines


def response_lines(made: dict[str, Arm]) -> list[str]:
    """Say how far changes of the input move the output, relative to the spread between samples, and what is hidden."""
    lines = []
    for change in next(iter(made.values())).responses if made else ():
        each = {words: found.responses[change] for words, found in made.items()}
        line = f"  {change} moves the output by " + ", ".join(f"{value:.2g} ({words})" for words, value in each.items())
        least = max(HIDDEN * max(each.values()), FROM_BOTH)
        hidden = [words for words, value in each.items() if value < least]
        lines.append(line + (f": hidden from the {' and the '.join(hidden)} network" if hidden else ""))
    return lines


def arm(options: TrainOptions, network: str, shape: tuple[int, ...], residual: bool) -> Arm | str:
    """Build and measure the network at one position of the switch, or say why there is no such network."""
    try:
        given = options.with_values({f"{network}.residual": residual})
    except OptionsError as error:
        return str(error)
    classes = expected_class_shares(given)
    spec = spec_of_networks(given, shape, classes=classes)
    generator, disc = build_networks(spec)
    net, width = (generator, (spec["generator"]["latent_dim"],)) if network == "generator" else (disc, shape)
    inputs = [torch.randn(BATCH, *width, generator=make_generator(given.seed, "describe"))]
    inputs += [torch.arange(BATCH) % len(classes)] if classes else []
    if getattr(getattr(given, network), "init", None) == "matched":
        match_variances(net, *inputs)
    counts = {"parameters": parameters(net), "flops": flops(net, *(tensor[:1] for tensor in inputs))}
    return Arm(counts=counts, scales=scales(net, *inputs), responses=responses(net, *inputs))


def responses(net: nn.Module, x: Tensor, *labels: Tensor) -> dict[str, float]:
    """Measure relative responses to half the amplitude, and for images to a shift of colour."""
    changes = {"half the amplitude": halved(x)} | ({"a shift of colour": shift(x)} if x.ndim == 4 else {})
    return {words: relative_response(net, x, changed, *labels) for words, changed in changes.items()}
