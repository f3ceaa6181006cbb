"""Sets of options of `train`, drawn from the models themselves: fields, choices, bounds, and what is none of them."""

import math
import typing

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from resgan.options import networks, train
from resgan.options.data import Gaussians, Shapes, ShapesHard
from resgan.options.validation import Options, choices, fields_of

# Two steps of tiny networks. Each set begins with the words of a kind of data, and overrides some of them.
COMMON = [
    *("batch_size=4", "total_kimg=0.008", "metrics.samples=40", "trainer.accelerator=cpu", "trainer.threads=1"),
    *("trainer.progress=false", "wandb=disabled", "loss.r1_interval=1"),
]
POINTS = ["data=gaussians", "data.size=100", "metrics=exact", "generator.width=4", "disc.width=4"]
IMAGES = ["data=shapes", "data.count=24", "metrics.extractor=none", "generator.width=4", "disc.width=4"]
LARGE = ["data=shapes_hard", "data.size=32", "metrics.extractor=none"]
STARTS = {
    "points": POINTS,
    "lab": IMAGES,
    "mlp": [*IMAGES, "generator=mlp", "disc=mlp", "generator.blocks=1", "disc.blocks=1"],
    "sngan": [*LARGE, "generator=sngan", "disc=sngan", "generator.width=8", "disc.width=8"],
    "wgan_gp": [*LARGE, "generator=wgan_gp", "disc=wgan_gp", "generator.width=8", "disc.width=8"],
    "dcgan": [*LARGE, "generator=dcgan", "disc=dcgan", "generator.width=8", "disc.width=8"],
    "r3gan": [*LARGE, "generator=r3gan", "disc=r3gan", "generator.width=16", "disc.width=16", "generator.blocks=1"]
    + ["disc.blocks=1"],
}
MODELS: dict[str, tuple[type[Options], type[Options], type[Options]]] = {
    "points": (networks.MlpGeneratorOptions, networks.MlpDiscOptions, Gaussians),
    "lab": (networks.LabGeneratorOptions, networks.LabDiscOptions, Shapes),
    "mlp": (networks.MlpGeneratorOptions, networks.MlpDiscOptions, Shapes),
    "sngan": (networks.ResnetGeneratorOptions, networks.ResnetDiscOptions, ShapesHard),
    "wgan_gp": (networks.ResnetGeneratorOptions, networks.ResnetDiscOptions, ShapesHard),
    "dcgan": (networks.DcganGeneratorOptions, networks.DcganDiscOptions, ShapesHard),
    "r3gan": (networks.R3ganGeneratorOptions, networks.R3ganDiscOptions, ShapesHard),
}
# What decides where files are, which other runs there are, how many processes, or how long all of it takes.
LEFT_OUT = {
    *(
        "study",
        "run_dir",
        "init_from",
        "init_optimisers",
        "replicate",
        "seeds",
        "total_kimg",
        "generator.name",
        "disc.name",
    ),
    *("data.name", "metrics.extractor", "metrics.weights", "metrics.own", "metrics.cache", "metrics.scores"),
    *("trainer.accelerator", "trainer.devices", "trainer.nodes", "trainer.compile", "trainer.max_hours"),
}
JUNK = ["nan", "inf", "-inf", "1e308", "1e400", "1e-320", "-0.0", "-1", "0", "null", "true", "abc", "''", "[]", "[1]"]
JUNK += ["[1,2,3]", "{}", "{a:1}", "1.5", "1_000", "0x10", "1,2", "1" + "0" * 30, "9" * 400, "9" * 5000, "-" + "9" * 30]


def fields_for(kind: str) -> dict[str, FieldInfo]:
    """Return every option that a set of this kind may hold, dotted."""
    parts = dict(zip(("generator", "disc", "data"), MODELS[kind], strict=True))
    found = {
        name: field for name, field in fields_of(train.TrainOptions).items() if name.partition(".")[0] not in parts
    }
    for group, model in parts.items():
        found |= {f"{group}.{name}": field for name, field in fields_of(model).items()}
    return {k: f for k, f in found.items() if k not in LEFT_OUT and not k.startswith(("wandb.", "tuning."))}


def bounds(metadata: typing.Iterable[object]) -> tuple[float, float]:
    """Return the least and the greatest number that the marks of a field allow."""
    low, high = -math.inf, math.inf
    for mark in metadata:
        for inner in getattr(mark, "metadata", [mark]):
            match inner:
                case Ge():
                    low = inner.ge
                case Gt():
                    low = math.nextafter(inner.gt, math.inf)
                case Le():
                    high = inner.le
                case Lt():
                    high = math.nextafter(inner.lt, -math.inf)
    return low, high


def numbers_in(field: FieldInfo) -> list[tuple[type, float, float]]:
    """Return (int or float, least, greatest) of each kind of number that an option takes, alone or in a list."""

    def walk(annotation: object, metadata: typing.Iterable[object]) -> list[tuple[type, float, float]]:
        if annotation in (int, float):
            return [(typing.cast(type, annotation), *bounds(metadata))]
        if hasattr(annotation, "__metadata__"):  # Annotated
            inner = typing.get_args(annotation)[0]
            return walk(inner, [*metadata, *annotation.__metadata__])
        inside = typing.get_args(annotation)
        if typing.get_origin(annotation) is typing.Literal:
            return []
        own = metadata if len([part for part in inside if part is not type(None)]) == 1 else ()
        return [number for part in inside for number in walk(part, own)]

    return walk(field.annotation, field.metadata)


def is_list(field: FieldInfo) -> bool:
    return "list[" in str(field.annotation)


@st.composite
def values(draw: st.DrawFn, field: FieldInfo, *, high: bool) -> str:
    """Draw a value as typed: nearly always valid and tiny, sometimes at a bound or just outside, sometimes junk."""
    kind = draw(st.sampled_from(["valid"] * 6 + ["bound", "junk"]))
    if kind == "junk":
        return draw(st.sampled_from(JUNK))
    if "bool" in str(field.annotation):
        return draw(st.sampled_from(["true", "false"]))
    if found := choices(field):
        chosen = st.sampled_from([str(item).lower() if isinstance(item, bool) else str(item) for item in found])
        return f"[{','.join(draw(st.lists(chosen, max_size=3)))}]" if is_list(field) else draw(chosen)
    if not (numbers := numbers_in(field)):
        return draw(st.sampled_from(["null", "abc", "a b", "0"]))
    if "None" in str(field.annotation) and draw(st.booleans()):
        return "null"
    one, low, most = draw(st.sampled_from(numbers))
    if kind == "bound":
        edges = [low, below(one, low), above(one, most), *([most] if high else [])]
        number = draw(st.sampled_from(edges))
    elif one is int:
        number = draw(st.integers(int(max(low, -4)), int(min(most, max(low, 1) + 3))))
    else:
        number = draw(st.floats(max(low, -2), min(most, 2)) | st.sampled_from([0.5, 1.0, 0.001]))
    typed = repr(one(number)) if math.isfinite(number) else repr(number)
    return f"[{typed},{typed}]" if is_list(field) and draw(st.booleans()) else typed


def below(kind: type, least: float) -> float:
    return least - 1 if kind is int else math.nextafter(least, -math.inf)


def above(kind: type, most: float) -> float:
    return most + 1 if kind is int else math.nextafter(most, math.inf)


@st.composite
def option_sets(draw: st.DrawFn, *, high: bool = False) -> list[str]:
    """Draw the words of a line; high: also the greatest valid numbers, which may take long."""
    kind = draw(st.sampled_from(sorted(STARTS)))
    words = [*STARTS[kind], *COMMON]
    loss = draw(st.sampled_from(["relativistic", "nonsaturating", "hinge", "wasserstein", "least_squares"]))
    if draw(st.booleans()):
        words.append(f"loss={loss}")
    if kind != "points" and draw(st.integers(0, 3)) == 0:
        words.append("augment=diffaugment")
    if kind != "r3gan" and draw(st.integers(0, 3)) == 0:
        words += ["generator.conditional=concat", "disc.conditional=projection"]
    fields = fields_for(kind)
    for name in draw(st.lists(st.sampled_from(sorted(fields)), max_size=6, unique=True)):
        words.append(f"{name}={draw(values(fields[name], high=high))}")
    return words
