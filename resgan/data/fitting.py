"""Images of any shape made square: cropped, padded or squashed, and in words what that does to how many."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageOps

from resgan.options.choices import Fit

Size = tuple[int, int]  # width, height


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How an image becomes a square of `side` pixels, by Pillow's LANCZOS in one step from the full image.

    - crop: the shorter side is resized, and the middle of the longer side is kept.
    - pad: the longer side is resized, and the rest is black. A smaller image keeps its size.
    - resize: both sides are resized, each by its own factor.

    An image is made larger only with `enlarge`; without it, crop and resize take none with a side below `side`.
    """

    side: int
    fit: Fit = "crop"
    enlarge: bool = False

    def takes(self, size: Size) -> bool:
        return self.fit == "pad" or self.enlarge or min(size) >= self.side

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the image at side x side; one that has this size already is not touched."""
        square = (self.side, self.side)
        if image.size == square:
            return image
        if self.fit == "crop":
            return ImageOps.fit(image, square, Image.Resampling.LANCZOS)
        if self.fit == "resize":
            return image.resize(square, Image.Resampling.LANCZOS)
        inner = self.inner(image.size)
        if image.size != inner:
            image = image.resize(inner, Image.Resampling.LANCZOS)
        padded = Image.new(image.mode, square)  # black
        padded.paste(image, ((self.side - inner[0]) // 2, (self.side - inner[1]) // 2))
        return padded

    def inner(self, size: Size) -> Size:
        """Return the size at which pad shows an image."""
        longer = max(size)
        if longer <= self.side and not self.enlarge:
            return size
        width, height = (max(1, round(length * self.side / longer)) for length in size)
        return width, height

    def grows(self, size: Size) -> bool:
        return self.enlarge and (max(size) if self.fit == "pad" else min(size)) < self.side

    def shrinks(self, size: Size) -> bool:
        return (min(size) if self.fit == "crop" else max(size)) > self.side

    def in_words(self, sizes: Counter[Size]) -> str:
        """Say what is done to how many images, given the number of each size; empty where nothing is done."""

        def among(is_one: Callable[[Size], bool]) -> Counter[Size]:
            return Counter({size: count for size, count in sizes.items() if is_one(size)})

        done = {"crop": "cropped", "pad": "given black bars", "resize": "squashed"}[self.fit]
        if self.fit == "pad":
            changed = among(lambda size: self.inner(size) != (self.side, self.side))
        else:
            changed = among(lambda size: size[0] != size[1])
        shrunk, grown = among(self.shrinks), among(self.grows)
        parts = []
        if changed:
            parts.append(f"{changed.total():,} {done} ({self.reasons(changed)})")
        if shrunk:
            parts.append(f"{shrunk.total():,} reduced from up to {by(max(shrunk, key=area))}")
        if grown:
            parts.append(f"{grown.total():,} enlarged from as little as {by(min(grown, key=area))}")
        return f"{sizes.total():,} images to {by((self.side, self.side))}: {', '.join(parts)}" if parts else ""

    def reasons(self, sizes: Counter[Size]) -> str:
        """Say how the shapes of images differ from the square."""
        found: Counter[str] = Counter()
        for (width, height), count in sizes.items():
            small = self.fit == "pad" and not self.enlarge and max(width, height) < self.side
            found["smaller" if small else "wider than high" if width > height else "higher than wide"] += count
        return next(iter(found)) if len(found) == 1 else ", ".join(f"{n:,} {why}" for why, n in found.most_common())


def area(size: Size) -> tuple[int, Size]:
    return size[0] * size[1], size


def by(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
