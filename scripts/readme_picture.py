"""Cut the README's picture out of the samples of the four arms that docs/defaults.md shows.

    python scripts/readme_picture.py

Writes docs/images/arms.png: four rows of four samples of each arm, and of the real images, side by side.
"""

from pathlib import Path

from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PANELS = ((0, 0), (542, 0), (0, 560), (542, 560), (0, 1120))  # plain, residual D, residual G, both, real
LABEL, CELL, COUNT, GAP = 18, 66, 4, 14  # pixels; samples in a row


def main() -> None:
    size = COUNT * CELL + 2
    with Image.open(IMAGES / "default-arms.png") as arms:
        strip = Image.new("RGB", (len(PANELS) * (size + GAP) - GAP, LABEL + size), "white")
        for place, (x, y) in enumerate(PANELS):
            strip.paste(arms.crop((x, y, x + size, y + LABEL + size)), (place * (size + GAP), 0))
    strip.save(IMAGES / "arms.png", optimize=True)


if __name__ == "__main__":
    main()
