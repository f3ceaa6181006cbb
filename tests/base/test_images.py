"""Pixels, grids, files."""

import pytest
import torch
from PIL import Image

from resgan.base.images import GAP, GAP_GREY, enlarge, grid, save_png, scatter, to_float, to_image, to_uint8


def test_all_256_levels_survive_a_round_trip():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)
    assert to_float(levels)[[0, 255]].tolist() == [-1, 1]
    assert to_uint8(torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_grid_is_read_by_rows():
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    sheet = grid(images, columns=3, gap=1)
    assert sheet.shape == (3, 7, 10)
    assert sheet[0, 1::3, 1::3].tolist() == [[0, 1, 2], [3, 4, GAP_GREY]]
    assert set(sheet[:, ::3].flatten().tolist()) == set(sheet[:, :, ::3].flatten().tolist()) == {GAP_GREY}


def test_enlarging_repeats_pixels():
    image = torch.tensor([[[1, 2, 3], [4, 5, 6]]], dtype=torch.uint8)
    big = enlarge(image, least=5)
    assert big.shape == (1, 6, 9)
    assert torch.equal(big[:, ::3, ::3], image)


@pytest.mark.parametrize(("side", "times"), [(8, 8), (16, 4), (28, 3), (32, 2), (50, 2), (63, 2), (64, 1), (96, 1)])
def test_pictures_show_every_pixel_in_its_own_colour(side, times):
    """Images are enlarged by a whole factor to at least 64 pixels, each pixel to a block of one colour."""
    images = torch.randint(256, (5, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(side))
    for given in (images, to_float(images)):
        sheet, cell = to_image(given, columns=3), times * side
        assert sheet.shape == (3, 2 * (cell + GAP) + GAP, 3 * (cell + GAP) + GAP)
        for k, image in enumerate(images):
            top, left = GAP + k // 3 * (cell + GAP), GAP + k % 3 * (cell + GAP)
            shown = (
                sheet[:, top : top + cell, left : left + cell].unflatten(2, (side, times)).unflatten(1, (side, times))
            )
            assert torch.equal(shown, image[:, :, None, :, None].expand_as(shown))


def test_the_gap_is_told_from_the_usual_grounds():
    """The gap differs from black, mid-grey and white by about a quarter of a channel's range, 63 levels."""
    assert min(abs(GAP_GREY - ground) for ground in (0, 127, 128, 255)) >= 63


def test_scatter_puts_points_where_they_are():
    sheet = scatter(torch.tensor([[5.0, 5.0], [-5.0, 0.0], [99.0, 0.0]]), size=11)
    black = (sheet[0] == 0).nonzero().tolist()
    assert black == [[0, 10], [5, 0]]  # y points up; points outside are not drawn


def test_files(tmp_path):
    for channels in (1, 3):
        image = torch.randint(256, (channels, 4, 6), dtype=torch.uint8)
        save_png(image, tmp_path / "new" / "a.png")
        with Image.open(tmp_path / "new" / "a.png") as opened:
            assert opened.size == (6, 4)
            assert opened.mode == ("L" if channels == 1 else "RGB")
            assert opened.getpixel((5, 0)) == (int(image[0, 0, 5]) if channels == 1 else tuple(image[:, 0, 5].tolist()))
    assert to_image(torch.zeros(4, 3, 8, 8)).shape[0] == 3
    assert to_image(torch.zeros(4, 2)).shape == (1, 512, 512)
