"""Print the tables of docs/defaults.md, from the runs that scripts/choose_defaults.sh made.

python scripts/defaults_tables.py RUNS [--chosen|--arms]

--chosen: print the options of the long runs in place of tables, a line each: the shared pair of rates, and the best
two of each arm, by the short runs. --arms: print the scores of runs of the four arms, one or several seeds each,
and draw docs/images/default-arms.png.
"""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from resgan.report.panels import panels
from resgan.report.records import ARM_NAMES, Arm, Record, read_runs
from resgan.report.samples import grids

Rates = tuple[float, float]  # of G and of D
DOCS = Path(__file__).resolve().parent.parent / "docs"
BEST = 2  # pairs of an arm that are trained at full length


def rates(record: Record) -> Rates:
    return float(record.config["generator.lr"]), float(record.config["disc.lr"])


def by_arm(folder: Path) -> dict[Arm, dict[Rates, list[Record]]]:
    found: dict[Arm, dict[Rates, list[Record]]] = {arm: defaultdict(list) for arm in ARM_NAMES}
    for record in read_runs([folder]) if folder.exists() else ():
        found[record.arm][rates(record)].append(record)
    return found


def mean_score(records: list[Record], name: str = "tv") -> float:
    """Over seeds; of a run that diverged tv is 1 and any other share 0."""
    worst = float(name == "tv")
    return statistics.fmean(worst if (score := record.score(name)) is None else score for record in records)


def ranked(pairs: dict[Rates, list[Record]]) -> list[Rates]:
    """Best first. Where tv ties, as it does where nothing is valid yet, the distance to the manifold decides."""
    return sorted(pairs, key=lambda pair: (mean_score(pairs[pair]), mean_score(pairs[pair], "distance")))


def shared(found: dict[Arm, dict[Rates, list[Record]]]) -> list[Rates]:
    """The pairs of the least mean rank over the arms: one, but where they are tied."""
    orders = [ranked(pairs) for pairs in found.values()]
    ranks = {pair: sum(order.index(pair) for order in orders) for pair in orders[0]}
    return [pair for pair, rank in ranks.items() if rank == min(ranks.values())]


def chosen(short: dict[Arm, dict[Rates, list[Record]]]) -> Iterator[str]:
    """The shared pairs in every arm, then what else is among the best two of an arm."""
    common = shared(short)
    best = [(arm, pair) for arm, pairs in short.items() for pair in ranked(pairs)[:BEST] if pair not in common]
    for (g, d), (lr_g, lr_d) in [*((arm, pair) for pair in common for arm in short), *best]:
        switches = f"generator.residual={str(g).lower()} disc.residual={str(d).lower()}"
        yield f"{switches} generator.lr={lr_g:g} disc.lr={lr_d:g}"


def of_all_arms(found: dict[Arm, dict[Rates, list[Record]]]) -> dict[Arm, dict[Rates, list[Record]]]:
    """The pairs that every arm has: a search that has not ended is read as far as it came."""
    shared_pairs = set.intersection(*(set(pairs) for pairs in found.values()))
    return {arm: {pair: pairs[pair] for pair in pairs if pair in shared_pairs} for arm, pairs in found.items()}


def short_table(short: dict[Arm, dict[Rates, list[Record]]]) -> Iterator[str]:
    """tv of every pair in every arm, and the mean rank."""
    yield "| lr of G, of D | " + " | ".join(ARM_NAMES.values()) + " | mean rank |"
    yield "|---|" + "---:|" * (len(ARM_NAMES) + 1)
    orders = {arm: ranked(pairs) for arm, pairs in short.items()}
    for pair in sorted(next(iter(short.values()))):
        cells = [f"{mean_score(pairs[pair]):.3f}" for pairs in short.values()]
        rank = statistics.fmean(order.index(pair) + 1 for order in orders.values())
        yield f"| {pair[0]:g}, {pair[1]:g} | {' | '.join(cells)} | {rank:.2f} |"


def long_table(long: dict[Arm, dict[Rates, list[Record]]], shared_pairs: list[Rates]) -> Iterator[str]:
    """Each score as its mean over the seeds, and the least and most."""
    names = ("tv", "validity", "tv_valid", "classes")
    yield "| arm | lr of G, of D | " + " | ".join(names) + " |"
    yield "|---|---|" + "---:|" * len(names)
    for arm, pairs in long.items():
        for pair in ranked(pairs):
            scores = {name: [s for r in pairs[pair] if (s := r.score(name)) is not None] for name in names}
            cells = [spread(values) for values in scores.values()]
            words = f"{pair[0]:g}, {pair[1]:g}" + (", shared" if pair in shared_pairs else "")
            yield f"| {ARM_NAMES[arm]} | {words} | {' | '.join(cells)} |"


def arms_table(records: list[Record]) -> Iterator[str]:
    """Tabulate every score beside that of a perfect generator, and validity during training, by arm.

    Means over the seeds, with minimum and maximum.
    """
    arms = {arm: found for arm in ARM_NAMES if (found := [record for record in records if record.arm == arm])}
    yield "| | " + " | ".join(ARM_NAMES[arm] for arm in arms) + " | perfect |"
    yield "|---|" + "---:|" * (len(arms) + 1)
    for seen, _ in records[0].curve("validity"):
        curves = [[dict(record.curve("validity"))[seen] for record in found] for found in arms.values()]
        yield f"| validity after {seen:,} images | {' | '.join(map(spread, curves))} | 1 |"
    result = records[0].result or {}
    for name in result["scores"]:
        cells = [spread([s for record in found if (s := record.score(name)) is not None]) for found in arms.values()]
        yield f"| `{name}` | {' | '.join(cells)} | {result['ideal'].get(name, float('nan')):.3g} |"


def spread(values: list[float]) -> str:
    ends = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3g}{ends}" if values else "-"


def draw_arms(records: list[Record]) -> None:
    [panel] = panels(records, mixed_code=True)
    if figure := grids(panel, "samples"):
        (DOCS / "images" / "default-arms.png").write_bytes(figure.png)


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
