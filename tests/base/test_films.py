"""Films: as files, and as the pages that play them."""

import base64
import io
import json
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from resgan.base import films
from resgan.base.errors import UserError
from resgan.base.films import Pace, Picture
from resgan.base.images import png, repeat_pixels


def colourful(count: int) -> torch.Tensor:
    """Frames (count, 3, 40, 48) of enlarged pixels, 120 colours each, no two frames alike."""
    generator = torch.Generator().manual_seed(3)
    return repeat_pixels(torch.randint(256, (count, 3, 10, 12), dtype=torch.uint8, generator=generator), 4)


def frames_of(path) -> tuple[list[np.ndarray], list[int]]:
    """Return the frames of a GIF as RGB, and their times in milliseconds."""
    with Image.open(path) as image:
        shown = []
        for k in range(image.n_frames):
            image.seek(k)
            shown.append((np.asarray(image.convert("RGB")), image.info["duration"]))
    return [pixels for pixels, _ in shown], [time for _, time in shown]


def test_rounded_times_add_up():
    """At 30 frames a second a frame takes 3.33 hundredths: 3, 4 or 3, and 90 frames take three seconds."""
    times = Pace(frames=90, fps=30).durations(100)
    assert set(times) == {3, 4}
    assert sum(times) == 300
    held = Pace(frames=3, fps=4, hold=2.0)
    assert held.durations(100) == [25, 25, 225]
    assert held.seconds == 2.75


@pytest.mark.parametrize("loop", [True, False])
def test_a_gif(tmp_path, loop):
    frames = colourful(7)
    films.write_gif(tmp_path / "a.gif", iter(frames), Pace(frames=7, fps=25, hold=1, loop=loop))
    found, times = frames_of(tmp_path / "a.gif")
    assert times == [40] * 6 + [1040]
    with Image.open(tmp_path / "a.gif") as image:
        assert image.info.get("loop") == (0 if loop else None)  # 0: again and again
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]
    for pixels, frame in zip(found, frames, strict=True):
        assert np.abs(pixels.astype(int) - frame.permute(1, 2, 0).numpy()).max() <= 8  # 256 colours hold all 120


def test_a_gif_keeps_a_rare_colour():
    """Median cut, Pillow's default, moves the one orange pixel of a gradient of 40,000 by more than 30 levels."""
    x = torch.arange(200)
    frame = torch.stack([20 + x.expand(200, -1) // 4, x.expand(200, -1), x.expand(200, -1).T]).to(torch.uint8)
    frame[:, 96:100, 96:100] = torch.tensor([255, 140, 0], dtype=torch.uint8).view(3, 1, 1)
    image = Image.fromarray(frame.permute(1, 2, 0).numpy())

    def error(reduced: Image.Image) -> int:
        return int(np.abs(np.asarray(reduced.convert("RGB")).astype(int)[97, 97] - [255, 140, 0]).max())

    assert error(films.in_256_colours(image)) <= 8


def test_a_grey_gif_is_exact(tmp_path):
    frames = torch.randint(256, (3, 1, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    films.write_gif(tmp_path / "a.gif", iter(frames), Pace(frames=3, fps=10))
    found, _ = frames_of(tmp_path / "a.gif")
    for pixels, frame in zip(found, frames, strict=True):
        assert np.array_equal(pixels, frame.expand(3, -1, -1).permute(1, 2, 0).numpy())


@pytest.mark.parametrize("channels", [1, 3])
def test_an_mp4(tmp_path, channels):
    """Odd sides grow by a pixel; one second is added to the end."""
    av = pytest.importorskip("av")
    generator = torch.Generator().manual_seed(3)
    small = torch.randint(256, (5, channels, 3, 4), dtype=torch.uint8, generator=generator)
    frames = repeat_pixels(small, 16)[:, :, :47]
    films.write_mp4(tmp_path / "a.mp4", iter(frames), Pace(frames=5, fps=12.5, hold=0.8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        assert stream.average_rate == Fraction(25, 2)
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(found) == 5 + 10
    assert found[0].shape == (48, 64, 3)
    for pixels, frame in zip(found, [*frames, *frames[-1:].expand(10, -1, -1, -1)], strict=True):
        middle = pixels[8:47:16, 8::16].astype(int)  # of each block: colour is blurred between blocks
        wanted = frame[:, 8::16, 8::16].expand(3, -1, -1).permute(1, 2, 0).numpy()
        assert np.abs(middle - wanted).mean() < 8


def test_without_the_library_there_is_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UserError, match=re.escape("format=mp4 needs PyAV: pip install 'resgan[video]'")):
        films.video_library()


def test_a_film_that_fails_leaves_nothing(tmp_path):
    def failing():
        yield colourful(1)[0]
        raise RuntimeError("half way")

    for write in (films.write_gif, films.write_mp4):
        if write is films.write_mp4:
            pytest.importorskip("av")
        with pytest.raises(RuntimeError, match="half way"):
            write(tmp_path / "a", failing(), Pace(frames=2, fps=10))
        assert not list(tmp_path.iterdir())


def pictures(count: int = 3) -> list[Picture]:
    return [Picture(png=png(frame), words=f"frame {k}") for k, frame in enumerate(colourful(count))]


def test_a_player_holds_everything(tmp_path):
    shown = [*pictures(2), Picture(png=pictures(3)[2].png, words="</script><b>")]
    pace = Pace(frames=3, fps=5, hold=1, loop=False)
    films.write_player(tmp_path / "a.html", shown, pace, title="<i>", times=2, rows=["cat & dog", "fox"])
    html = (tmp_path / "a.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])
    assert [base64.b64decode(frame) for frame in data["frames"]] == [picture.png for picture in shown]
    assert data["words"] == ["frame 0", "frame 1", "</script><b>"]
    assert data["milliseconds"] == [200, 200, 1200]
    assert data["loop"] is False
    assert 'width="96" height="80"' in html
    assert "<h1>&lt;i&gt;</h1>" in html
    assert "<li>cat &amp; dog</li><li>fox</li>" in html
    assert "http" not in html
    assert html.count("</script>") == 2  # no text of a user's ends one


def test_a_gallery_says_what_each_picture_is(tmp_path):
    films.write_gallery(tmp_path / "a.html", [("cat", pictures(2)), ("", pictures(1))], title="2 samples", width=64)
    html = (tmp_path / "a.html").read_text()
    assert '<html lang="en">' in html
    assert re.findall(r'alt="([^"]*)"', html) == ["cat, frame 0", "cat, frame 1", "frame 0"]
    found = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]*)", html)]
    wanted = colourful(2)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(found[0]))), wanted)
