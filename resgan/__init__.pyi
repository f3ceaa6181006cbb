"""The public names, each with the module that defines it; docs/python.md has a line on each."""
# ruff: noqa: I001

# Runs
from .cli.compose import configure as configure
from .experiment.fitting import fit as fit
from .experiment.fitting import Result as Result
from .builders.trained_gan import load_gan as load_gan
from .builders.trained_gan import TrainedGan as TrainedGan
from .cli.compose import score as score
from .options.train import TrainOptions as TrainOptions
from .base.errors import UserError as UserError
from .base.errors import OptionsError as OptionsError

# Blocks
from .nets.blocks import join as join
from .nets.blocks import Block as Block
from .options.block import BlockOptions as BlockOptions
from .nets.blocks import Preact as Preact
from .nets.blocks import Postact as Postact
from .nets.blocks import StyleGan2 as StyleGan2
from .nets.blocks import Bottleneck as Bottleneck

# Networks
from .nets.generator import LabGenerator as LabGenerator
from .nets.discriminator import LabDiscriminator as LabDiscriminator
from .nets.mlp import MlpGenerator as MlpGenerator
from .nets.mlp import MlpDiscriminator as MlpDiscriminator
from .nets.published.resnet import ResnetGenerator as ResnetGenerator
from .nets.published.resnet import ResnetDiscriminator as ResnetDiscriminator
from .nets.published.resnet101 import Resnet101Generator as Resnet101Generator
from .nets.published.resnet101 import Resnet101Discriminator as Resnet101Discriminator
from .nets.published.r3gan import R3ganGenerator as R3ganGenerator
from .nets.published.r3gan import R3ganDiscriminator as R3ganDiscriminator
from .nets.published.dcgan import DcganGenerator as DcganGenerator
from .nets.published.dcgan import DcganDiscriminator as DcganDiscriminator

# Scores: each a torchmetrics.Metric
from .metrics.score import Score as Score
from .metrics.cards import Reading as Reading
from .metrics.feature_scores import FrechetDistance as FrechetDistance
from .metrics.feature_scores import FrechetAtInfinity as FrechetAtInfinity
from .metrics.feature_scores import KernelDistance as KernelDistance
from .metrics.feature_scores import InceptionScore as InceptionScore
from .metrics.feature_scores import PrecisionRecall as PrecisionRecall
from .metrics.testbed import ModeScore as ModeScore
from .metrics.manifold_scores import ManifoldScore as ManifoldScore

# Training
from .training.gan import GAN as GAN
from .training.ema import Average as Average

# Losses
from .training.losses import nonsaturating_disc as nonsaturating_disc
from .training.losses import nonsaturating_gen as nonsaturating_gen
from .training.losses import hinge_disc as hinge_disc
from .training.losses import wasserstein_disc as wasserstein_disc
from .training.losses import wasserstein_gen as wasserstein_gen
from .training.losses import least_squares_disc as least_squares_disc
from .training.losses import least_squares_gen as least_squares_gen
from .training.losses import relativistic_disc as relativistic_disc
from .training.losses import relativistic_gen as relativistic_gen

# Penalties
from .training.penalties import zero_centred as zero_centred
from .training.penalties import one_centred as one_centred
from .training.penalties import gradient_penalty as gradient_penalty

__version__: str
