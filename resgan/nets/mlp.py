"""Multilayer perceptrons of the same blocks, with fully connected layers.

Dimensions are counted from the last, so that (N, ...) may have one more in front (training/stack.py).
"""

import math
from dataclasses import replace

from torch import Tensor, nn

from resgan.nets import conditioning, layers, looks_linear
from resgan.nets.blocks import branches, make_block
from resgan.options.block import BlockOptions
from resgan.options.choices import DiscConditioning, GeneratorConditioning, Init


class Trunk(nn.Module):
    """Features (N, width_in) -> blocks -> (N, width_out)."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        options: BlockOptions,
        *,
        blocks: int,  # in all
        width: int,  # features
        classes: int = 0,  # more than 0: class-conditional norms in the blocks
    ) -> None:
        super().__init__()
        self.first = layers.linear(width_in, width)
        self.blocks = nn.ModuleList(
            make_block(width, replace(options, depth=blocks), layer=layers.linear, classes=classes)
            for _ in range(blocks)
        )
        self.norm = layers.NORMS[options.norm](width)
        self.last = layers.linear(width, width_out)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.last(self.features(x, labels))

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the input of the last layer (N, width)."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x, labels)
        return layers.activation(self.norm(x))


class MlpGenerator(nn.Module):
    """Latents (N, latent_dim) to points (N, 2), or to images (N, C, H, W), nominally in [-1, 1]."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        latent_dim: int = 64,
        block: BlockOptions = BlockOptions(),  # with the switch
        blocks: int = 4,  # in all
        width: int = 128,  # features
        spectral: bool = False,  # spectral normalisation of every layer
        init: Init = "he",
        seed: int = 0,  # of the weights
        conditional: GeneratorConditioning = "none",  # how the class enters
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        self.shape = shape
        self.with_code = conditioning.LabelEmbedding(classes, latent_dim) if conditional == "concat" else None
        self.trunk = Trunk(
            2 * latent_dim if self.with_code else latent_dim,
            math.prod(shape),
            block,
            blocks=blocks,
            width=width,
            classes=classes if conditional == "norm" else 0,
        )
        init_mlp(self, self.trunk, network="generator", init=init, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        z = self.with_code(z, labels) if self.with_code else z
        return self.trunk(z, labels).unflatten(-1, self.shape)


class MlpDiscriminator(nn.Module):
    """Points (N, 2), or images (N, C, H, W), to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        block: BlockOptions = BlockOptions(),  # with the switch
        blocks: int = 4,  # in all
        width: int = 128,  # features
        spectral: bool = False,  # spectral normalisation of every layer
        init: Init = "he",
        seed: int = 0,  # of the weights
        conditional: DiscConditioning = "none",  # how the class enters
        classes: int = 0,  # in the data
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        self.dims = len(shape)
        self.planes = classes if conditional == "concat" else 0
        self.trunk = Trunk(math.prod(shape) + self.planes, 1, block, blocks=blocks, width=width)
        self.to_class = layers.unbiased(width, classes) if conditional == "projection" else None
        init_mlp(self, self.trunk, network="disc", init=init, spectral=spectral, seed=seed)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        x = samples.flatten(-self.dims)
        x = conditioning.append_label_planes(x, labels, classes=self.planes) if self.planes else x
        x = self.trunk.features(x)
        logits = self.trunk.last(x).squeeze(-1)  # (N,)
        return logits + conditioning.projection_logit(self.to_class(x), labels) if self.to_class else logits


def init_mlp(net: nn.Module, trunk: Trunk, *, network: str, init: Init, spectral: bool, seed: int) -> None:
    """Draw the weights of either network, and the first bias of its trunk."""
    layers.initialise(net, seed=seed, network=network, scheme=init, branches=branches(net))
    layers.draw_bias(trunk.first, seed=seed, network=network)
    if init == "looks_linear":
        to_class = getattr(net, "to_class", None)
        last = [trunk.last, to_class] if to_class else [trunk.last]
        looks_linear.mirror(first=[trunk.first], between=[], last=last, slope=layers.SLOPE)
    if spectral:
        layers.add_spectral_norm(net)
