"""Multilayer perceptrons on the same blocks: the fully connected residual block."""

import math

from torch import Tensor, nn

from resgan.nets import conditioning, layers
from resgan.nets.blocks import Join, Kind, branches, make_block


class Trunk(nn.Module):
    """Features (N, width_in) -> blocks -> (N, width_out)."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        *,
        residual: bool,  # the switch
        block: Kind,
        blocks: int,  # in all
        width: int,  # features
        norm: layers.Norm,
        join: Join,
        branch_scale: float = 1.0,
        layer_scale: float | None = None,
        classes: int = 0,  # with them, the norms of the blocks are told the class
    ) -> None:
        super().__init__()
        options = {"residual": residual, "block": block, "how": join, "norm": norm, "classes": classes}
        options |= {"branch_scale": branch_scale, "layer_scale": layer_scale}
        self.first = nn.Linear(width_in, width)
        self.blocks = nn.ModuleList(make_block(width, layer=layers.linear, **options) for _ in range(blocks))
        self.norm = layers.NORMS[norm](width)
        self.last = layers.linear(width, width_out)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.last(self.features(x, labels))

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the last layer is given (N, width)."""
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
        latent_dim: int,
        init: layers.Init,
        spectral: bool,  # spectral normalisation of every layer
        seed: int,  # of the weights
        conditional: conditioning.ForGenerator = "none",  # how the class is told
        classes: int = 0,  # in the data
        **trunk,  # the options of `Trunk`
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        self.shape = shape
        self.with_code = conditioning.WithCode(classes, latent_dim) if conditional == "concat" else None
        told = classes if conditional == "norm" else 0
        self.trunk = Trunk(2 * latent_dim if self.with_code else latent_dim, math.prod(shape), classes=told, **trunk)
        begin(self, self.trunk, network="generator", init=init, spectral=spectral, seed=seed)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        z = self.with_code(z, labels) if self.with_code else z
        return self.trunk(z, labels).view(-1, *self.shape)


class MlpDiscriminator(nn.Module):
    """Points (N, 2), or images (N, C, H, W), to logits (N,)."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...],  # of one sample
        init: layers.Init,
        spectral: bool,  # spectral normalisation of every layer
        seed: int,  # of the weights
        conditional: conditioning.ForDisc = "none",  # how the class is told
        classes: int = 0,  # in the data
        **trunk,  # the options of `Trunk`
    ) -> None:
        super().__init__()
        conditioning.check_classes(conditional, classes)
        self.planes = classes if conditional == "concat" else 0
        self.trunk = Trunk(math.prod(shape) + self.planes, 1, **trunk)
        self.to_class = layers.unbiased(trunk["width"], classes) if conditional == "projection" else None
        begin(self, self.trunk, network="disc", init=init, spectral=spectral, seed=seed)

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        x = samples.flatten(1)
        x = conditioning.with_planes(x, labels, classes=self.planes) if self.planes else x
        x = self.trunk.features(x)
        logits = self.trunk.last(x).squeeze(1)  # (N,)
        return logits + conditioning.of_class(self.to_class(x), labels) if self.to_class else logits


def begin(net: nn.Module, trunk: Trunk, *, network: str, init: layers.Init, spectral: bool, seed: int) -> None:
    """The weights of a network whose trunk this is."""
    layers.initialise(net, seed=seed, network=network, scheme=init, branches=branches(net))
    layers.draw_bias(trunk.first, seed=seed, network=network)
    if spectral:
        layers.add_spectral_norm(net)
