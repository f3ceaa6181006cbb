"""The history of the options: how an old config.yaml or checkpoint translates to the options of today.

Every commit that adds, renames or drops an option adds a row here. Rows use the names of today.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from resgan.base.plain_data import PlainData

NETWORKS = ("generator", "disc")
LABS = ("lab", "mlp")


class Added(NamedTuple):
    """An option added since the first runs."""

    option: str
    before: Any  # the value that reproduces the behaviour before the option existed; not always its default
    kinds: tuple[str, ...] = ()  # kinds of data or network that have it; empty: all configurations, but no spec
    keeps: bool = False  # True: an earlier run continues with `before` unless the option is typed; False: must equal it


class RenamedValue(NamedTuple):
    """A value of an option that has a different name today."""

    option: str
    before: Any
    today: Any
    since: str  # an option that every config written since then has


class NewDefault(NamedTuple):
    """Defaults that were replaced: a run with the old defaults continues with them unless others are typed.

    A kind (`.name`) is in both as a condition, or is itself what was replaced. A config that has one of the options
    `since` is newer. (Published networks have no norm_place today either.)
    """

    before: PlainData
    today: PlainData
    since: tuple[str, ...] = tuple(f"{network}.norm_place" for network in NETWORKS)


ADDED = (
    # Studies (ea71f11)
    Added("study", None),
    Added("tuning.best", "none"),
    Added("tuning.runs", None),
    # Scores by name (b4c288d)
    Added("metrics.resize", "default"),
    Added("metrics.scores", ["frechet"]),
    Added("metrics.norm_mode", "running"),
    Added("metrics.cache", None),  # nothing was cached then; no value means that, and no score depends on it
    # Kinds of block (017d8f0)
    *(Added(f"{network}.branch_scale", 1.0, LABS) for network in NETWORKS),
    *(Added(f"{network}.layer_scale", None, LABS) for network in NETWORKS),
    *(Added(f"{network}.group_size", 16, ("lab",)) for network in NETWORKS),  # for bottlenecks, which were new too
    Added("loss.gp_with_spectral", True),  # a permission that was not needed before
    # Classes, augmentation, burn-in (e236d64)
    *(Added(f"{network}.image_skips", False, ("lab",)) for network in NETWORKS),
    *(Added(f"{network}.conditional", "none", LABS) for network in NETWORKS),
    *(Added(f"{network}.lr_final", None) for network in NETWORKS),
    *(Added(f"{network}.beta2_final", None) for network in NETWORKS),
    Added("generator.batch_size", None),
    Added("generator.ema_kimg_final", None),
    Added("loss.r1_final", None),
    Added("loss.r2_final", None),
    Added("burn_in_kimg", 0),
    Added("augment.operations", []),  # with no operations the options below do nothing; values of augment=none
    Added("augment.p", 0.0),
    Added("augment.p_final", None),
    Added("augment.adapt", "none"),
    Added("augment.target", 0.6),
    Added("augment.adapt_kimg", 500),
    # Speed (1bb90d3, f153bf9, 1525907, 6867822)
    Added("trainer.fused", False, keeps=True),  # true by default from the start, and it rounds differently
    Added("seeds", None),
    Added("data.cache", False, ("folder",)),
    Added("data.limits", 1.0, ("folder",)),
    Added("trainer.compile", False),
    Added("trainer.stack", 1),
    # Place of the norms; fan-in and first bias at the start
    *(Added(f"{network}.norm_place", "branch", LABS, keeps=True) for network in NETWORKS),
    *(Added(f"{network}.fan_in", "nominal", ("lab",), keeps=True) for network in NETWORKS),
    *(Added(f"{network}.first_bias", False, ("lab",), keeps=True) for network in NETWORKS),  # mlp has always drawn it
    # Controls of the skip, and wider branches
    *(Added(f"{network}.inner", 1, LABS) for network in NETWORKS),
    *(Added(f"{network}.skip", "identity", LABS) for network in NETWORKS),
    *(Added(f"{network}.skip_scale", None, LABS) for network in NETWORKS),
    *(Added(f"{network}.skip_final", None, LABS) for network in NETWORKS),
    Added("metrics.own", None),
    # Several processes
    Added("trainer.devices", 1),
    Added("trainer.nodes", 1),
    Added("trainer.strategy", "auto"),
    # Runs that go on from others, or until a time
    Added("init_from", None),
    Added("init_optimisers", False),
    Added("trainer.max_hours", None),
    # A search in every replicate; without candidates the rest does nothing, and has the values of conf/train.yaml
    Added("replicate", None),
    Added("tuning.candidates", 0),
    Added("tuning.rungs", [0.25, 0.5, 1.0]),
    Added("tuning.keep", 3),
    Added("tuning.fresh_seeds", 3),
    *(Added(f"tuning.{rate}", [0.2, 5.0]) for rate in ("generator_lr", "disc_lr")),
    Added("tuning.penalty", [0.1, 10.0]),
    Added("tuning.inits", []),
    Added("tuning.accept_edge", False),
    # Images of any shape, and labels from files
    Added("data.fit", "crop", ("folder",)),
    Added("data.enlarge", False, ("folder",)),
    Added("data.labels", "folders", ("folder",), keeps=True),  # a dataset.json was not read
    # Loggers beside W&B
    Added("tensorboard", False),
    Added("csv", False),
)

# Smooth shapes, and fewer modes. The other options of data=shapes came with it, so that they need no rows above.
RENAMED_VALUES = (RenamedValue("data.name", "shapes", "shapes_hard", since="data.count"),)
AS_BEFORE = ("data=shapes",)  # typed again to continue an earlier run, this means what it meant then
NEW_DEFAULTS = (
    *(
        NewDefault({f"{net}.name": "lab", f"{net}.join": "sum"}, {f"{net}.name": "lab", f"{net}.join": "stable"})
        for net in NETWORKS
    ),
    *(
        NewDefault({f"{net}.name": "mlp", f"{net}.join": "scaled"}, {f"{net}.name": "mlp", f"{net}.join": "stable"})
        for net in NETWORKS
    ),
    *(
        NewDefault({f"{net}.name": "lab", f"{net}.norm": "pixel"}, {f"{net}.name": "lab", f"{net}.norm": "none"})
        for net in NETWORKS
    ),
    NewDefault({"data.name": "shapes_hard"}, {"data.name": "shapes", "data.count": 6000, "data.withhold": False}),
    NewDefault({"data.name": "gaussians", "data.modes": 25}, {"data.name": "gaussians", "data.modes": 9}),
    NewDefault({"data.name": "gaussians", "total_kimg": 256}, {"data.name": "gaussians", "total_kimg": 512}),
    NewDefault({"data.name": "gaussians", "score_kimg": 32}, {"data.name": "gaussians", "score_kimg": 64}),
    NewDefault({"study": "tuning", "total_kimg": 12}, {"study": "tuning", "total_kimg": 50}),
    NewDefault({"total_kimg": 40}, {"total_kimg": 200}),
    NewDefault({"batch_size": 8}, {"batch_size": 16}),
    NewDefault({"score_kimg": 10}, {"score_kimg": 40}),
    *(NewDefault({f"{when}_kimg": 10}, {f"{when}_kimg": 20}) for when in ("sample", "save")),
    *(NewDefault({f"loss.{penalty}": 0.1}, {f"loss.{penalty}": 0.3}) for penalty in ("r1", "r2")),
    NewDefault(
        {"disc.name": "lab", "disc.lr": 1e-3}, {"disc.name": "lab", "disc.lr": 2e-3}, since=("trainer.devices",)
    ),
    # metrics=full, which meant all there were. No run of today has begun with such a list unless it was typed.
    NewDefault(
        {"metrics.scores": ["frechet", "infinity", "kernel", "inception_score", "precision_recall"]},
        {"metrics.scores": ["all"]},
        since=(),
    ),
    NewDefault(  # what null has meant since
        {"metrics.extractor": "inception", "metrics.weights": "download"},
        {"metrics.extractor": "inception", "metrics.weights": None},
        since=(),
    ),
)
FOUND = ("trainer.precision",)  # auto is resolved when a run begins, and kept; 32-true before there was an auto
RENAMED: dict[str, str] = {}  # old name: new name
DROPPED: dict[str, Any] = {}  # name: the value that did nothing; any other is kept, and shows as a difference


def completed(old: PlainData, like: Collection[str]) -> PlainData:
    """Translate the flattened config of an old run into the options of today whose names are in `like`."""
    return _translated(old, [row for row in ADDED if row.option in like])


def kept(old: PlainData, like: PlainData) -> PlainData:
    """Return the options in `like` that an old run (its flattened config) keeps, at its own or that time's values.

    If it keeps another kind of data or network, the whole group is returned: {"data": {...}}.
    """
    rows = [row for row in ADDED if row.keeps and row.option in like]
    found = {row.option: row.before for row in rows if row.option not in old}
    found |= {option: old[option] for option in FOUND if option in old and like.get(option) == "auto"}
    translated = _translated(old, ())
    for row in NEW_DEFAULTS:
        if any(option in old for option in row.since):
            continue
        if row.before.items() <= translated.items() and row.today.items() <= like.items():
            found |= _before(row, like)
    return found


def _before(row: NewDefault, like: PlainData) -> PlainData:
    changed = {option: value for option, value in row.before.items() if like[option] != value}
    kinds = [option for option in changed if option.endswith(".name")]
    if not kinds:
        return changed
    group = kinds[0].removesuffix("name")
    options = {option: value for option, value in like.items() if option.startswith(group) and option not in row.today}
    return {group[:-1]: {option.removeprefix(group): value for option, value in (options | row.before).items()}}


def completed_spec(spec: PlainData) -> PlainData:
    """Translate the spec of an old checkpoint, {"generator": {...}, "disc": {...}, ...}, to the options of today."""
    old = {f"{network}.{name}": value for network in NETWORKS for name, value in spec[network].items()}
    new: dict[str, dict[str, Any]] = {network: {} for network in NETWORKS}
    for option, value in _translated(
        old, [row for row in ADDED if row.kinds and row.option.startswith(NETWORKS)]
    ).items():
        network, _, name = option.partition(".")
        new[network][name] = value
    return {"classes": {}} | spec | new  # before e236d64 there were no classes


def _translated(old: PlainData, rows: Iterable[Added]) -> PlainData:
    named = {RENAMED.get(option, option): value for option, value in old.items()}
    for row in RENAMED_VALUES:
        if named.get(row.option) == row.before and row.since not in named:
            named[row.option] = row.today
    kept = {option: value for option, value in named.items() if option not in DROPPED or value != DROPPED[option]}
    return kept | {row.option: row.before for row in rows if row.option not in kept and _has(kept, row)}


def _has(config: PlainData, row: Added) -> bool:
    """Check that the kind of network or data in the config has the option."""
    return not row.kinds or config.get(f"{row.option.partition('.')[0]}.name") in row.kinds


# Cards of scores. For cards written before they said how a number is read, its name tells.


def completed_card(name: str, card: PlainData) -> PlainData:
    """Complete a card with how its number is read, as the score defines it today."""
    return reading_by_name(name) | card


def reading_by_name(name: str) -> PlainData:
    """Return direction, scale and count of a score that existed then, by its name."""
    direction, scale, counted = "higher", "plain", "n_fake"
    if name in ("tv", "tv_data") or name.startswith(("validity", "valid_", "precision_")):
        direction, scale = "lower" if name.startswith("tv") else "higher", "share"
    elif name in ("tv_valid", "novelty", "copying"):
        direction, scale, counted = "lower" if name == "tv_valid" else "higher", "share", "valid"
    elif name.startswith(("recall_", "coverage_")):
        scale, counted = "share", "n_real"
    elif name == "distance" or (name.startswith(("fd_", "fid", "clean_fid")) and not name.endswith("_inf")):
        direction, scale = "lower", "distance"
    elif name == "kl" or name.endswith("_inf") or name.startswith(("kd_", "kid", "clean_kid")):
        direction = "lower"
    if name in ("variance_ratio", "copying", "recombination") or name.startswith("valid_") or name.endswith("_std"):
        direction = "none"
    return {"direction": direction, "scale": scale, "counted": counted}
