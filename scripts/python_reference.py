"""Print docs/python.md: the public names of the package, each with the first line of its docstring.

python scripts/python_reference.py > docs/python.md
"""

import inspect
import re
from pathlib import Path

import resgan

STUB = Path(resgan.__file__).with_suffix(".pyi")
HEAD = """# resgan from Python

The public names of the package, and a run from options to scores in five lines.

```python
import resgan

options = resgan.configure("data=gaussians", "generator.residual=true", "disc.residual=false", "run_dir=runs/mine")
result = resgan.fit(options)  # .path, .status, .scores, .checkpoint
gan = resgan.load_gan(result.checkpoint)
samples = gan.sample(seeds=range(64))  # points (64, 2); of images (64, C, H, W), float32 in [-1, 1]
resgan.score(gan.sample(range(10_000)), "gaussians")  # {"tv": ..., "validity": ..., ...}
```

`configure` takes the words of the command line, and `fit` does what the command does: the same run directory, continued
by the same call. Errors raise: subclasses of `ValueError` (`resgan.UserError`) whose one line names the option, the
value and what is valid. Ctrl-C raises `KeyboardInterrupt`, with the state saved. `import resgan` imports nothing heavy:
a name is loaded when it is first used.

`help(resgan.LabGenerator)` and the like have shapes, units, errors and sources.
"""


def sections() -> dict[str, list[str]]:
    """Read the names by section from the stub."""
    found: dict[str, list[str]] = {}
    for line in STUB.read_text().splitlines():
        if heading := re.fullmatch(r"# ([A-Z]\w+.*)", line):
            found[heading[1]] = []
        elif name := re.fullmatch(r"from \S+ import (\w+) as \1", line):
            list(found.values())[-1].append(name[1])
    return found


def line(name: str) -> str:
    first = (inspect.getdoc(getattr(resgan, name)) or "").partition("\n")[0]
    return f"| `{name}` | {re.sub(r'  +', ' ', first).replace('|', chr(92) + '|')} |"


def main() -> None:
    print(HEAD)
    for title, names in sections().items():
        print(f"## {title}\n\n| | |\n|---|---|")
        print("\n".join(map(line, names)), end="\n\n" if title != list(sections())[-1] else "\n")


if __name__ == "__main__":
    main()
