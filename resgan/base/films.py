"""Films: frames to GIF, MP4 and to a page that plays them in any browser, without a network."""

import importlib
import io
import itertools
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image
from torch import Tensor

from resgan.base.errors import UserError
from resgan.base.files import atomic_writer, write_atomically
from resgan.base.images import to_array

PALETTE_SIDE = 128  # pixels: about the size of the picture from which the 256 colours of a frame are chosen
QUALITY = 16  # of H.264, from 0 (lossless) to 51: hard edges between enlarged pixels stay clean


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long frames are shown."""

    frames: int
    fps: float
    hold: float = 0.0  # seconds for which the last frame is shown beyond its own time
    loop: bool = True  # play again and again

    @property
    def seconds(self) -> float:
        return self.frames / self.fps + self.hold

    def durations(self, unit: int) -> list[int]:
        """Return the time of each frame in whole units of a second; rounding does not add up."""
        ends = [round(unit * k / self.fps) for k in range(self.frames + 1)]
        times = [after - before for before, after in itertools.pairwise(ends)]
        return [*times[:-1], times[-1] + round(unit * self.hold)]


def write_gif(path: Path, frames: Iterable[Tensor], pace: Pace) -> None:
    """Write frames, uint8 (C, H, W) of one size, as an animated GIF, each with 256 colours of its own."""
    images = (in_256_colours(Image.fromarray(to_array(frame))) for frame in frames)
    repeat = {"loop": 0} if pace.loop else {}
    with atomic_writer(path) as file:
        first = next(images)
        times = [10 * hundredths for hundredths in pace.durations(100)]  # Pillow takes milliseconds, a GIF hundredths
        first.save(file, format="GIF", save_all=True, append_images=images, duration=times, **repeat)


def in_256_colours(image: Image.Image) -> Image.Image:
    """Reduce the colours of an image, without dithering: it would show between enlarged pixels.

    Median cut, Pillow's default, gives a rare colour none of its own: one orange bar among many others turns brown.
    """
    if image.mode == "L":
        return image
    step = max(1, min(image.size) // PALETTE_SIDE)
    small = image.resize((image.width // step, image.height // step), Image.Resampling.NEAREST)
    palette = small.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=1)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def video_library() -> Any:
    """Import PyAV. Raises UserError where it is missing, or has no encoder for H.264."""
    try:
        av = importlib.import_module("av")
    except ImportError as error:
        raise UserError("format=mp4 needs PyAV: pip install 'resgan[video]', or use format=gif or html") from error
    if "libx264" not in av.codecs_available:
        raise UserError("format=mp4: this PyAV has no encoder for H.264; pip install --force-reinstall av")
    return av


def write_mp4(path: Path, frames: Iterable[Tensor], pace: Pace) -> None:
    """Write frames, uint8 (C, H, W) of one size, as H.264; an odd side grows by one pixel. Raises UserError."""
    av = video_library()
    with atomic_writer(path) as file, av.open(file, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(pace.fps).limit_denominator(1000))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(QUALITY)}  # what every player can show
        for frame in held(map(to_even, frames), round(pace.hold * pace.fps)):
            if not stream.codec_context.is_open:
                stream.height, stream.width = frame.shape[1:]
            pixels = np.ascontiguousarray(to_array(frame.expand(3, -1, -1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def held(frames: Iterable[Tensor], times: int) -> Iterator[Tensor]:
    """Yield the frames, and the last one `times` more."""
    frame = None
    for frame in frames:
        yield frame
    if frame is not None:
        yield from itertools.repeat(frame, times)


def to_even(image: Tensor) -> Tensor:
    """Repeat the last row and column of (C, H, W) where their number is odd."""
    for dim in (1, 2):
        if image.shape[dim] % 2:
            image = image.index_select(dim, image.new_tensor([*range(image.shape[dim]), image.shape[dim] - 1]).long())
    return image


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image of a page: a PNG file, and a few words on it."""

    png: bytes
    words: str

    @property
    def uri(self) -> str:
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


def write_player(
    path: Path, pictures: Iterable[Picture], pace: Pace, *, title: str, times: int = 1, rows: Sequence[str] = ()
) -> None:
    """Write one HTML file that plays pictures of one size, with a slider.

    times: factor by which the page enlarges them
    rows: labels of the rows that a frame consists of
    """
    shown = list(pictures)
    data = {
        "frames": [b64encode(picture.png).decode() for picture in shown],
        "words": [picture.words for picture in shown],
        "milliseconds": pace.durations(1000),
        "loop": pace.loop,
    }
    # No text of a user's, such as the name of a class, can end the script.
    script = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    width, height = (times * side for side in Image.open(io.BytesIO(shown[0].png)).size)
    page = pages().get_template("film.html.j2")
    html = page.render(title=title, first=shown[0], last=len(shown) - 1, size=(width, height), rows=rows, data=script)
    write_atomically(path, html)


def write_gallery(path: Path, rows: Sequence[tuple[str, Sequence[Picture]]], *, title: str, width: int) -> None:
    """Write one HTML file that shows pictures in rows with labels, each `width` pixels wide on the screen."""
    write_atomically(path, pages().get_template("gallery.html.j2").render(title=title, rows=rows, width=width))


def pages() -> Environment:
    return Environment(loader=PackageLoader("resgan.base"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
