"""The memory that a run needs at least, computed before anything large is allocated, and compared with what is free.

Networks on torch's meta device have shapes and no values: a pass through them allocates nothing, whatever the width and
the batch size, and tells what it would save for the backward pass.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from resgan.base.console import say_once
from resgan.base.errors import OptionsError
from resgan.base.memory import Free, free_gpu_memory, free_memory
from resgan.base.plain_data import format_value, shortened
from resgan.builders.networks import Spec, build_outline
from resgan.nets import layers
from resgan.options.data import DataSet, Gaussians, Shapes, ShapesHard
from resgan.options.train import TrainOptions

FLOAT = 4  # bytes: weights, gradients, moments and the average are float32 in every precision
PROCESS = 300_000_000  # bytes of a process that has loaded torch, and little else
USUAL, ROOM = 2.3, 250_000_000  # a run took at most so many times what it surely needs, and so many bytes more
SIZES = ("width", "latent_dim", "blocks", "inner")  # options of a network that decide its size


@dataclass(frozen=True)
class Part:
    """Bytes for one purpose, and the options that decide them."""

    purpose: str
    count: int
    options: Mapping[str, object]


@dataclass(frozen=True)
class Need:
    """Bytes that a run surely needs at one time, beside those its process holds already."""

    kept: Sequence[Part]  # all along
    passing: Sequence[Part]  # one after the other

    @property
    def count(self) -> int:
        return sum(part.count for part in self.kept) + max((part.count for part in self.passing), default=0)

    @property
    def largest(self) -> Part:
        return max([*self.kept, *self.passing], key=lambda part: part.count)

    def beside(self, other: "Need") -> "Need":
        """Return the need of both: what passes in one does not meet what passes in the other."""
        return Need([*self.kept, *other.kept], [*self.passing, *other.passing])

    def times(self, number: int, *, option: str = "", process: int = 0) -> "Need":
        """Return the need of several such runs side by side, each with so many bytes for its process."""

        def several(parts: Sequence[Part]) -> list[Part]:
            return [replace(part, count=number * part.count) for part in parts]

        kept = several(self.kept)
        if process:
            kept.append(Part("the processes themselves", number * process, {option: number}))
        return Need(kept, several(self.passing))


# What is compared.


def check_memory(need: Need, free: Free | None, *, number: int = 1, what: str = "") -> None:
    """Raise OptionsError for what cannot fit, and say in a line what may not. what: so many of these need it."""
    if free is None:
        return
    part = need.largest
    given = " ".join(f"{name}={shortened(format_value(value))}" for name, value in part.options.items())
    each = f" for {number} {what}" if number > 1 else ""
    mostly = f"{gigabytes(part.count)} of it for {part.purpose}"
    there = f"{free.where} has {gigabytes(free.count)} free"
    if need.count > free.count:
        lower = f"lower {'it' if len(part.options) == 1 else 'one of them'}"
        fewer = f", or the number of {what}" if number > 1 else ""
        needed = f"at least {gigabytes(need.count)} of memory are needed{each}"
        raise OptionsError(f"{given}: {needed}, {mostly}, and {there}; {lower}{fewer}")
    if (usual := USUAL * need.count + ROOM) > free.count:
        say_once(f"may not fit: {given} may take {gigabytes(usual)} of memory{each}, {mostly}, and {there}")


def check_data(data: DataSet) -> None:
    """Raise OptionsError for a testbed that cannot be drawn."""
    check_memory(need_of_data(data), free_memory())


def check_run(options: TrainOptions, spec: Spec, *, accelerator: str, members: int = 1) -> None:
    """Raise OptionsError where a run, or a stack of so many, cannot fit beside the data, which are read already."""
    stack, need = (members, "runs as one"), need_of_run(options, spec, members=members)
    if accelerator == "cuda":
        on_device = need_of_step(options, spec, members=members)
        check_memory(on_device, free_gpu_memory(), number=stack[0], what=stack[1])
        check_memory(need_of_scores(options, spec), free_memory())
    elif (count := options.trainer.devices) > 1:
        several = need.times(count, option="trainer.devices", process=PROCESS)
        check_memory(several, free_memory(), number=count, what="processes")
    else:
        check_memory(need, free_memory(), number=stack[0], what=stack[1])


def check_samples(spec: Spec, count: int, given: Mapping[str, object]) -> None:
    """Raise OptionsError for more samples than fit; given: the options that say how many."""
    check_memory(Need([], [Part("the samples", count * bytes_of_sample(spec), given)]), free_memory())


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.3g} GB"


# What is needed.


def need_of_data(data: DataSet) -> Need:
    """Return the need of a testbed's data; nothing for data whose size only reading tells."""
    decide = {f"data.{name}": getattr(data, name) for name in ("size", "count") if hasattr(data, name)}
    match data:
        case Gaussians():  # points and labels, and as many again held out; then their distances to all modes
            kept, passing = 2 * data.size * (2 * FLOAT + 8), data.size * data.modes * 8
            decide["data.modes"] = data.modes
        case Shapes() | ShapesHard():  # uint8, from float32
            kept = (data.count if isinstance(data, Shapes) else 1200) * math.prod(data.sample_shape)
            passing = FLOAT * kept
        case _:
            kept = passing = 0
    return Need([Part("the data", kept, decide)], [Part("drawing the data", passing, decide)])


def need_of_run(options: TrainOptions, spec: Spec, *, members: int = 1) -> Need:
    """Return the need of a run, or of a stack of so many, beside its data."""
    return need_of_step(options, spec, members=members).beside(need_of_scores(options, spec))


def need_of_scores(options: TrainOptions, spec: Spec) -> Need:
    """Return the need of a scoring."""
    count, samples = options.metrics.samples, {"metrics.samples": options.metrics.samples}
    each = bytes_of_sample(spec)
    if isinstance(options.data, Gaussians):
        each += 8 * options.data.modes  # distances, in float64
    return Need([], [Part("the samples to score", count * each, samples)])


def bytes_of_sample(spec: Spec) -> int:
    """Return the bytes of a sample: its latent, and itself twice, as it comes and in one tensor of all."""
    return FLOAT * (2 * math.prod(spec["shape"]) + spec["generator"]["latent_dim"])


def need_of_step(options: TrainOptions, spec: Spec, *, members: int = 1) -> Need:
    """Return the need of training: weights, gradients, Adam's moments, the average, and what a step holds."""
    if "module" in (spec["generator"]["name"], spec["disc"]["name"]):  # user's code, which may need its values
        return Need([], [])
    generator, disc = on_meta(spec)
    for net in (generator, disc):
        layers.fuse(net, options.trainer.fused)
    # G has weights, gradients, two moments and the average, D all but the last. Members of a stack are also held apart.
    copies = {"generator": 5, "disc": 4} if members == 1 else {"generator": 9, "disc": 7}
    kept = [
        Part(f"the weights of {name}, with gradients and moments", members * copies[name] * size_of(net), sizes)
        for name, net in (("generator", generator), ("disc", disc))
        if (sizes := sizes_of(options, name)) is not None
    ]
    decide: dict[str, object] = {"batch_size": options.batch_size}
    if options.generator.batch_size is not None:
        decide["generator.batch_size"] = options.generator.batch_size
    decide |= {f"{name}.width": getattr(getattr(options, name), "width", None) for name in ("generator", "disc")}
    decide = {name: value for name, value in decide.items() if value is not None}
    held = int(members * bytes_of_step(options, spec, generator, disc))
    return Need(kept, [Part("the values that a step keeps for its gradients", held, decide)])


def sizes_of(options: TrainOptions, network: str) -> dict[str, object]:
    """Return the options that decide the size of a network, by dotted name."""
    given = getattr(options, network)
    return {f"{network}.{name}": getattr(given, name) for name in SIZES if getattr(given, name, None) is not None}


def on_meta(spec: Spec) -> tuple[nn.Module, nn.Module]:
    """Build both networks with shapes alone. Raises OptionsError where an option does not fit the images."""
    return build_outline(spec, "generator"), build_outline(spec, "disc")


def size_of(net: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in (*net.parameters(), *net.buffers()))


def bytes_of_step(options: TrainOptions, spec: Spec, generator: nn.Module, disc: nn.Module) -> float:
    """Return the bytes that a step surely holds at one time for its gradients, beside the weights and theirs.

    D's step holds what it saves in two passes, and more for each penalty, whose gradient is differentiated once more;
    G's step what both networks save. The factors lie below the least found in nine kinds of networks.
    """
    loss, seen = options.loss, options.batch_size
    of_d = saved(disc, torch.empty(seen, *spec["shape"], device="meta"), *labels_of(spec, seen))
    of_g = saved(generator, *(latents := latents_of(options, spec)))
    penalties = 0.55 * bool(loss.r1) + 0.55 * bool(loss.r2) + 1.5 * bool(loss.gp)
    full = options.trainer.precision == "32-true" and not options.trainer.compile
    short = 1 if full else 2  # bfloat16, or what compiled code computes again
    in_d = (2 + penalties) * of_d / (1 if penalties else short)
    in_g = 0.8 * (of_d * len(latents[0]) / seen + of_g) / short
    return max(in_d, in_g)


def latents_of(options: TrainOptions, spec: Spec) -> tuple[Tensor, ...]:
    """Return a batch of latents of a G step, and its labels if there are classes."""
    count = options.generator.batch_size or options.batch_size
    return torch.empty(count, spec["generator"]["latent_dim"], device="meta"), *labels_of(spec, count)


def labels_of(spec: Spec, count: int) -> list[Tensor]:
    return [torch.zeros(count, dtype=torch.long, device="meta")] if spec["classes"] else []


def saved(net: nn.Module, *given: Tensor) -> int:
    """Return the bytes that a forward pass saves for the backward pass, beside weights."""
    own = {id(tensor.untyped_storage()) for tensor in (*net.parameters(), *net.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in own:
            kept[id(storage)] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        net(*given)
    return sum(storage.nbytes() for storage in kept.values())
