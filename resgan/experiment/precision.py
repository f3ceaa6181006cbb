"""trainer.precision=auto: the precision it stands for, decided once, when a run begins."""

from collections.abc import Sequence

from resgan.base.device import find_accelerator, has_bfloat16
from resgan.options.choices import Precision
from resgan.options.train import TrainOptions


def with_precision(each: Sequence[TrainOptions]) -> list[TrainOptions]:
    """Replace precision=auto in options: by that of runs begun already, else by what is fast on this machine.

    The runs are seeds of one arm: a run that begins now takes the precision of the others. Raises OptionsError.
    """
    if not each:
        return []
    begun = sorted({one.trainer.precision for one in each} - {"auto"})
    precision = begun[0] if begun else find_precision(each[0])
    auto = {"trainer.precision": precision}
    return [one.with_values(auto) if one.trainer.precision == "auto" else one for one in each]


def find_precision(options: TrainOptions) -> Precision:
    """Choose the precision of a run that begins on this machine. Raises OptionsError.

    Runs that are compared (in a study or a search, or with the learning rates of a tuning study) are 32-true, whatever
    their machine; so are runs on points, whose networks are too small to gain.
    """
    compared = options.study is not None or options.tuning.runs is not None or options.tuning.candidates > 0
    if compared or options.data.sample_shape == (2,):
        return "32-true"
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    return "bf16-mixed" if has_bfloat16(accelerator) else "32-true"
