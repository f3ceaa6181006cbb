"""Score truncated samples of a run on a testbed, for the table of docs/sampling.md.

    python scripts/truncation_table.py RUN

RUN: a run directory or checkpoint of data=shapes. Prints a row for each truncation, of the seeds 0 to 1999.
"""

import sys
from pathlib import Path

import resgan

TRUNCATIONS = (0.5, 0.7, 1.0, 1.5, None)
SCORES = ("validity", "tv_valid", "tv", "variance_ratio")
SAMPLES = 2000


def main() -> None:
    gan = resgan.load_gan(Path(sys.argv[1]))
    print("| `truncation` | valid | `tv` among the valid | `tv` | `variance_ratio` |\n|---|---|---|---|---|")
    for truncation in TRUNCATIONS:
        samples = gan.sample(range(SAMPLES), truncation=truncation)
        scores = resgan.score(samples, "shapes", "metrics=exact")
        name = "`null`" if truncation is None else f"{truncation:g}"
        print(f"| {name} | {' | '.join(f'{scores[score]:.3f}' for score in SCORES)} |")


if __name__ == "__main__":
    main()
