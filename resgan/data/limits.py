"""How much is read from images, archives and arrays: what a small file can claim, or unpack to, is bounded."""

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from resgan.data.dataset import DataError

PIXELS = 100_000_000  # of an image
BYTES_A_PIXEL = 8  # of an encoded image: RGBA of 16 bits without compression
TABLE = 2**26  # bytes of a file of labels
UNPACKED = 2**36  # bytes in an archive, or in an array
FILES = 10_000_000  # in an archive


class TooLarge(DataError):
    """More than is read; the message is a part of a line, without the name of the file."""


@dataclass(frozen=True)
class Limits:
    """Limits of what is read: the constants above times a factor, the option `data.limits`."""

    factor: float = 1.0

    @property
    def pixels(self) -> float:
        return PIXELS * self.factor

    def check_image(self, size: int) -> None:
        """Check the bytes of an encoded image. Raises TooLarge."""
        self._check(size, BYTES_A_PIXEL * PIXELS, in_gib)

    def check_table(self, size: int) -> None:
        """Check the bytes of a file of labels. Raises TooLarge."""
        self._check(size, TABLE, in_gib)

    def check_unpacked(self, size: int) -> None:
        """Check the bytes of all that an archive holds, or of an array. Raises TooLarge."""
        self._check(size, UNPACKED, in_gib)

    def check_files(self, count: int) -> None:
        """Check the number of files in an archive. Raises TooLarge."""
        self._check(count, FILES, lambda files: f"{files:,.0f} files")

    def _check(self, found: int, most: int, words: Callable[[float], str]) -> None:
        if found > most * self.factor:
            enough = math.ceil(found / most)
            raise TooLarge(
                f"holds {words(found)}, and at most {words(most * self.factor)} are read; data.limits={enough} reads it"
            )

    @contextlib.contextmanager
    def of_pillow(self) -> Iterator[None]:
        """Let Pillow refuse images of more pixels, by their headers, also those inside of other images.

        Its limit holds for the process: it warns above it, and refuses above twice as many.
        """
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = self.pixels / 2  # type: ignore[assignment]  # Pillow only compares it
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


USUAL = Limits()


def in_gib(size: float) -> str:
    """Format bytes: "0.06 GiB"."""
    return f"{size / 2**30:,.3g} GiB" if size < 2**40 else f"{size / 2**30:,.0f} GiB"
