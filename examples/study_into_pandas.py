"""A study into pandas: one row a run, scores beside settings, and the mean of every arm.

python examples/study_into_pandas.py RUNS
"""

import json
import sys
from pathlib import Path

import pandas as pd
import yaml


def read(runs: Path) -> pd.DataFrame:
    """One row for each run that has ended; a run that diverged has no scores."""
    rows = []
    for path in sorted(runs.rglob("result.json")):
        result = json.loads(path.read_text())
        config = pd.json_normalize(yaml.safe_load((path.parent / "config.yaml").read_text())).iloc[0]
        rows.append({"path": str(path.parent), "status": result["status"], **config, **result["scores"]})
    return pd.DataFrame(rows)


def curve(run: Path, score: str) -> pd.Series:
    """A score against images seen."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    found = {line["images_seen"]: line["scores"][score] for line in lines if line["kind"] == "scores"}
    return pd.Series(found, name=score)


def main() -> None:
    table = read(Path(sys.argv[1]))
    arms = table.groupby(["generator.residual", "disc.residual"])
    print(arms[["tv", "validity"]].agg(["mean", "std", "count"]))
    print(curve(Path(table["path"].iloc[0]), "tv"))


if __name__ == "__main__":
    main()
