"""The form of every data set: tensors in memory, and an error a user can act on."""

import json
from dataclasses import dataclass
from hashlib import sha256

from torch import Tensor

from resgan.base.errors import UserError


class DataError(UserError):
    """Data that cannot be used; the message is one line that names the file or option and what is valid."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Escape what a terminal would obey or cannot show: names of files may hold line breaks and any bytes."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode() for sign in text
    )


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set held in memory: images as uint8 (N, C, H, W), points in the plane as float32 (N, 2)."""

    name: str  # what scores and pages call it
    train: Tensor  # what D is shown
    holdout: Tensor  # of the same kind, but never shown to D; may have no rows
    reference: Tensor  # what Frechet distances are measured against
    split: str  # what `reference` is, in words, for the score's card: "train", "all"
    classes: tuple[str, ...] = ()  # their names, by label; empty: there are no labels
    labels: Tensor | None = None  # int64 (N,), of `train`
    holdout_labels: Tensor | None = None  # int64 (N,), of `holdout`
    note: str = ""  # what was done to the samples when they were read, in words

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample: (C, H, W) for images, (2,) for points."""
        return tuple(self.train.shape[1:])

    @property
    def label_digest(self) -> str | None:
        """The SHA-256 of the classes and of each sample's label; None where there are no labels."""
        if self.labels is None:
            return None
        held = [] if self.holdout_labels is None else self.holdout_labels.tolist()
        return sha256(json.dumps([self.classes, self.labels.tolist(), held]).encode()).hexdigest()
