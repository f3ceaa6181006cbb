"""Print the tables of docs/defaults.md from the runs of scripts/choose_defaults.sh.

python scripts/defaults_tables.py RUNS [--chosen|--arms]

--chosen: print the options of the long runs instead of tables, one per line: the shared pair of rates, and the best
two pairs of each arm, by the short runs. --arms: read one run of each of the four arms, print their scores and draw
docs/images/default-arms.png.
"""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from resgan.report.figures import grids
from resgan.report.panels import panels
from resgan.report.records import ARM_NAMES, Arm, Record, read_runs
from resgan.runs.directory import Run

Rates = tuple[float, float]  # of G and of D
DOCS = Path(__file__).resolve().parent.parent / "docs"
BEST = 2  # pairs per arm that are trained at full length


def rates(record: Record) -> Rates:
    return float(record.config["generator.lr"]), float(record.config["disc.lr"])


def by_arm(folder: Path) -> dict[Arm, dict[Rates, list[Record]]]:
    found: dict[Arm, dict[Rates, list[Record]]] = {arm: defaultdict(list) for arm in ARM_NAMES}
    for record in read_runs([folder]) if folder.exists() else ():
        found[record.arm][rates(record)].append(record)
    return found


def mean_score(records: list[Record], name: str = "tv") -> float:
    """Average a score over seeds; a diverged run has tv 1, and any other share 0."""
    worst = float(name == "tv")
    return statistics.fmean(worst if (score := record.score(name)) is None else score for record in records)


def ranked(pairs: dict[Rates, list[Record]]) -> list[Rates]:
    """Sort the pairs, best first, by tv; in ties, as when nothing is valid yet, by the distance to the manifold."""
    return sorted(pairs, key=lambda pair: (mean_score(pairs[pair]), mean_score(pairs[pair], "distance")))


def shared(short: dict[Arm, dict[Rates, list[Record]]]) -> Rates:
    """Return the pair with the lowest mean rank over the arms."""
    orders = [ranked(pairs) for pairs in short.values()]
    return min(orders[0], key=lambda pair: sum(order.index(pair) for order in orders))


def chosen(short: dict[Arm, dict[Rates, list[Record]]]) -> Iterator[str]:
    """Yield the options of the long runs: the shared pair in every arm, then the other pairs of each arm's best two."""
    common = shared(short)
    best = [(arm, pair) for arm, pairs in short.items() for pair in ranked(pairs)[:BEST] if pair != common]
    for (g, d), (lr_g, lr_d) in [*((arm, common) for arm in short), *best]:
        switches = f"generator.residual={str(g).lower()} disc.residual={str(d).lower()}"
        yield f"{switches} generator.lr={lr_g:g} disc.lr={lr_d:g}"


def of_all_arms(found: dict[Arm, dict[Rates, list[Record]]]) -> dict[Arm, dict[Rates, list[Record]]]:
    """Keep the pairs that every arm has, so that an unfinished search can be read."""
    shared_pairs = set.intersection(*(set(pairs) for pairs in found.values()))
    return {arm: {pair: pairs[pair] for pair in pairs if pair in shared_pairs} for arm, pairs in found.items()}


def short_table(short: dict[Arm, dict[Rates, list[Record]]]) -> Iterator[str]:
    """Tabulate tv of every pair in every arm, with the mean rank."""
    yield "| lr of G, of D | " + " | ".join(ARM_NAMES.values()) + " | mean rank |"
    yield "|---|" + "---:|" * (len(ARM_NAMES) + 1)
    orders = {arm: ranked(pairs) for arm, pairs in short.items()}
    for pair in sorted(next(iter(short.values()))):
        cells = [f"{mean_score(pairs[pair]):.3f}" for pairs in short.values()]
        rank = statistics.fmean(order.index(pair) + 1 for order in orders.values())
        yield f"| {pair[0]:g}, {pair[1]:g} | {' | '.join(cells)} | {rank:.2f} |"


def long_table(long: dict[Arm, dict[Rates, list[Record]]], shared_pair: Rates) -> Iterator[str]:
    """Tabulate each score as its mean over the seeds, with minimum and maximum."""
    names = ("tv", "validity", "tv_valid", "classes")
    yield "| arm | lr of G, of D | " + " | ".join(names) + " |"
    yield "|---|---|" + "---:|" * len(names)
    for arm, pairs in long.items():
        for pair in ranked(pairs):
            scores = {name: [s for r in pairs[pair] if (s := r.score(name)) is not None] for name in names}
            cells = [
                f"{statistics.fmean(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else "-"
                for values in scores.values()
            ]
            words = f"{pair[0]:g}, {pair[1]:g}" + (", the default" if pair == shared_pair else "")
            yield f"| {ARM_NAMES[arm]} | {words} | {' | '.join(cells)} |"


def arms_table(records: list[Record]) -> Iterator[str]:
    """Tabulate every score of each run beside a perfect generator's, and validity during training."""
    by = {record.arm: record for record in records}
    yield "| | " + " | ".join(ARM_NAMES[arm] for arm in by) + " | perfect |"
    yield "|---|" + "---:|" * (len(by) + 1)
    curves = [
        {
            line["images_seen"]: line["scores"]["validity"]
            for line in Run(record.path).measurements()
            if "scores" in line
        }
        for record in by.values()
    ]
    for seen in curves[0]:
        yield f"| validity after {seen:,} images | {' | '.join(f'{curve[seen]:.3f}' for curve in curves)} | 1 |"
    results = [record.result or {} for record in by.values()]
    for name in results[0]["scores"]:
        cells = [f"{result['scores'][name]:.3g}" for result in results]
        yield f"| `{name}` | {' | '.join(cells)} | {results[0]['ideal'].get(name, float('nan')):.3g} |"


def draw_arms(records: list[Record]) -> None:
    [panel] = panels(records)
    if picture := grids(panel, "samples"):
        (DOCS / "images" / "default-arms.png").write_bytes(picture.png)


def main() -> None:
    runs = Path(sys.argv[1])
    if "--arms" in sys.argv:
        records = read_runs([runs])
        print("\n".join(arms_table(records)))
        draw_arms(records)
        return
    short, long = of_all_arms(by_arm(runs / "short")), by_arm(runs / "long")
    if "--chosen" in sys.argv:
        print("\n".join(chosen(short)))
        return
    print("\n".join(short_table(short)), end="\n\n")
    print("\n".join(long_table(long, shared(short))))
    print(
        "\ncommits:",
        ", ".join(sorted({record.code for arm in long.values() for records in arm.values() for record in records})),
    )


if __name__ == "__main__":
    main()
