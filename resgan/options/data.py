"""The options of the data: one strict model per data set, with what is known of its samples before loading."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from resgan.options.choices import Fit
from resgan.options.numbers import MOST_PIXELS, MOST_SAMPLES, Pixels, ReadFactor, Samples, ShareBelowOne
from resgan.options.validation import Options, option


class DataSet(Options):
    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """The shape of a sample: (C, H, W) of an image, (2,) of a point; None if only loading tells."""
        raise NotImplementedError

    @property
    def class_count(self) -> int | None:
        """The number of classes; None if only loading tells."""
        raise NotImplementedError

    @property
    def differs_by_seed(self) -> bool:
        """True if the data depends on the seed."""
        return True


class Gaussians(DataSet):
    name: Literal["gaussians"] = option("a grid of Gaussians in the plane, with exact scores")
    modes: int = option("number of modes: a square number", ge=4, le=10_000)
    size: Samples = option("points to train on")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def class_count(self) -> int:
        return self.modes


class SmallImages(DataSet):
    """Options of the testbeds whose images are drawn by the program."""

    size: int = option("pixels: a multiple of 16", ge=16, le=MOST_PIXELS)
    flip: Literal[False] = option("must be false: the scores know no mirror images")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return (3, self.size, self.size)


class Shapes(SmallImages):
    name: Literal["shapes"] = option("coloured bars at any place, in four orientations on grey, with exact scores")
    count: int = option("images to train on, at least one of each class", ge=24, le=MOST_SAMPLES)
    withhold: bool = option("withhold one quadrant from each class: 24 of 96 triples of form, colour and quadrant")

    @property
    def class_count(self) -> int:
        return 24


class ShapesHard(SmallImages):
    name: Literal["shapes_hard"] = option("1,200 hard-edged shapes, half of them to train on, with exact scores")

    @property
    def class_count(self) -> int:
        return 48


LABELS = ("auto", "folders", "none")  # or a file


def check_labels(given: str) -> str:
    if given not in LABELS and not given.lower().endswith((".csv", ".json")):
        expected = f"{', '.join(LABELS)}, or a file *.csv or *.json"
        raise PydanticCustomError("literal_error", "expected {expected}", {"expected": expected})
    return given


class Folder(DataSet):
    name: Literal["folder"] = option("images in a directory, zip or tar, with or without subfolders")
    path: str = option("the directory, zip or tar")
    size: Pixels | None = option("pixels of a side, see fit; null: as they are, all of one square size")
    fit: Fit = option("how images become square: cut, with black bars, or squashed")
    enlarge: bool = option("enlarge smaller images; false: refuse them, or with fit=pad put bars around them")
    labels: Annotated[str, AfterValidator(check_labels)] = option(
        "auto: dataset.json, else folders; folders, none, or a .csv or .json of files and labels"
    )
    channels: Literal[1, 3] = option("1 for grey, 3 for colour")
    holdout: ShareBelowOne = option("share of the images kept out of training")
    flip: bool = option("mirror images at random")
    limits: ReadFactor = option("factor on what is read at most: 100 megapixels of an image, 64 GiB of an archive")
    cache: bool = option("keep the decoded images in $RESGAN_CACHE or ~/.cache/resgan, keyed by their content")

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        return None if self.size is None else (self.channels, self.size, self.size)

    @property
    def class_count(self) -> None:
        return None

    @property
    def differs_by_seed(self) -> bool:
        return self.holdout > 0


# Torchvision sets whose samples are not (3, 32, 32), and whose classes are not 10.
SAMPLE_SHAPES = {"mnist": (1, 28, 28), "fashionmnist": (1, 28, 28), "kmnist": (1, 28, 28), "stl10": (3, 96, 96)}
CLASS_COUNTS = {"cifar100": 100}


class Torchvision(DataSet):
    name: Literal["cifar10", "cifar100", "mnist", "fashionmnist", "kmnist", "svhn", "stl10"] = option(
        "a torchvision data set"
    )
    root: str = option("folder with its files")
    download: bool = option("fetch the files if they are missing")
    flip: bool = option("mirror images at random")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return SAMPLE_SHAPES.get(self.name, (3, 32, 32))

    @property
    def class_count(self) -> int:
        return CLASS_COUNTS.get(self.name, 10)

    @property
    def differs_by_seed(self) -> bool:
        return False


AnyData = Annotated[Gaussians | Shapes | ShapesHard | Folder | Torchvision, Field(discriminator="name")]


class DataOptions(Options):
    data: AnyData
