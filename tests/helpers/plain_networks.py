"""Plain PyTorch rewrites of GAN networks: a second implementation for the tests to compare with.

Written from the papers' descriptions; the papers share nothing except the two functions at the top:

- Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (SNGAN);
- Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (R3GAN);
- Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (WGAN-GP);
- Radford et al. 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks"
  (DCGAN).

At the end are the networks without a paper: the lab networks and the multilayer perceptrons.

`residual=False` always leaves the shortcuts out: a block is then its main path alone, and a layer that only the
shortcut would use is not created. With `on_trunk` the shortcut's layer precedes the whole block, which then keeps
its width. Discriminators return one logit per image, of shape (N,).
"""

import torch
import torch.nn.functional as F
from torch import nn


def twice_the_size(x, upsample="nearest"):
    if upsample not in ("nearest", "bilinear"):
        raise ValueError(f"upsample must be 'nearest' or 'bilinear', not {upsample!r}")
    if upsample == "nearest":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def one_hot_beside(x, labels, classes):
    """Append a channel per class to x (N, C, ...): ones in the label's channel, zeros in the others."""
    planes = torch.zeros(len(x), classes, *x.shape[2:], dtype=x.dtype)
    planes[torch.arange(len(x)), labels] = 1
    return torch.cat([x, planes], dim=1)


# Miyato et al. 2018, appendix B.4: the ResNet pairs, with the class-conditioning of Miyato & Koyama 2018.


class ClassBatchNorm(nn.Module):
    """Batch normalisation with a gain and a bias per class (Miyato & Koyama 2018, section 4)."""

    def __init__(self, width, classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(width, affine=False)
        self.gain = nn.Parameter(torch.ones(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes, width))

    def forward(self, x, labels):
        return self.gain[labels, :, None, None] * self.norm(x) + self.bias[labels, :, None, None]


class SnganGeneratorBlock(nn.Module):
    """An upsampling block of the generator (Miyato et al. 2018, appendix B.4)."""

    def __init__(self, inputs, outputs, upsample="nearest", residual=True, on_trunk=False, classes=0):
        super().__init__()
        self.upsample = upsample
        self.residual = residual
        self.on_trunk = on_trunk
        self.classes = classes
        if on_trunk:
            self.trunk = nn.Conv2d(inputs, outputs, 1)
            inputs = outputs
        elif residual:
            self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.bn1 = ClassBatchNorm(inputs, classes) if classes else nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn2 = ClassBatchNorm(outputs, classes) if classes else nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x, labels=None):
        told = (labels,) if self.classes else ()
        if self.on_trunk:
            x = self.trunk(twice_the_size(x, self.upsample))
        y = F.relu(self.bn1(x, *told))
        y = self.conv1(y if self.on_trunk else twice_the_size(y, self.upsample))
        y = self.conv2(F.relu(self.bn2(y, *told)))
        if self.residual:
            y = y + (x if self.on_trunk else self.shortcut(twice_the_size(x, self.upsample)))
        return y


class SnganGenerator(nn.Module):
    """The generator (Miyato et al. 2018, appendix B.4, tables 4 to 6).

    `widths` has the channels of the dense layer, whose output has `base` x `base` pixels, and of each block. The class
    enters the norms of the blocks where `classes` > 0, or as a code beside the latent where `codes` > 0.
    """

    def __init__(
        self, widths, base=4, latent=128, upsample="nearest", residual=True, on_trunk=False, classes=0, codes=0
    ):
        super().__init__()
        self.base = base
        self.code = nn.Embedding(codes, latent) if codes else None
        self.linear = nn.Linear(2 * latent if codes else latent, base * base * widths[0])
        self.blocks = nn.ModuleList()
        for i in range(len(widths) - 1):
            self.blocks.append(
                SnganGeneratorBlock(widths[i], widths[i + 1], upsample, residual, on_trunk, classes=classes)
            )
        self.bn = nn.BatchNorm2d(widths[-1])
        self.conv = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z, labels=None):
        if self.code is not None:
            z = torch.cat([z, self.code(labels)], dim=1)
        x = self.linear(z).view(len(z), -1, self.base, self.base)
        for block in self.blocks:
            x = block(x, labels)
        return torch.tanh(self.conv(F.relu(self.bn(x))))


class SnganDiscriminatorBlock(nn.Module):
    """A block of the discriminator (Miyato et al. 2018, appendix B.4), the first of which sees the image.

    `norm` adds what PyTorch-StudioGAN has in place of spectral normalisation: batch norms, also on the shortcut.
    """

    def __init__(self, inputs, outputs, halves, first=False, norm=False, residual=True, on_trunk=False):
        super().__init__()
        self.halves = halves
        self.first = first
        self.residual = residual
        hidden = outputs if first else inputs
        projects = halves or inputs != outputs
        self.trunk = self.shortcut = None
        if projects and (on_trunk or residual):
            self.bn0 = nn.BatchNorm2d(inputs) if norm else nn.Identity()
        if projects and on_trunk:
            self.trunk = nn.Conv2d(inputs, outputs, 1)
            inputs = outputs
        elif projects and residual:
            self.shortcut = nn.Conv2d(inputs, outputs, 1)
        self.bn1 = nn.BatchNorm2d(inputs) if norm and (self.trunk or not first) else nn.Identity()
        self.conv1 = nn.Conv2d(inputs, hidden, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(hidden) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(hidden, outputs, 3, padding=1)

    def forward(self, x):
        if self.trunk is not None:  # halved at the end, and the first block's input is no longer an image
            x = self.trunk(self.bn0(x))
            y = self.branch(F.relu(self.bn1(x)))
            y = x + y if self.residual else y
            return F.avg_pool2d(y, 2) if self.halves else y

        y = self.branch(x if self.first else F.relu(self.bn1(x)))
        y = F.avg_pool2d(y, 2) if self.halves else y
        if not self.residual:
            return y
        if self.shortcut is None:
            return x + y
        if self.first:
            return self.shortcut(self.bn0(F.avg_pool2d(x, 2))) + y
        x = self.shortcut(self.bn0(x))
        return (F.avg_pool2d(x, 2) if self.halves else x) + y

    def branch(self, y):
        return self.conv2(F.relu(self.bn2(self.conv1(y))))


class SnganDiscriminator(nn.Module):
    """The discriminator, without its spectral normalisation (Miyato et al. 2018, appendix B.4, tables 4 to 6).

    `widths` has the channels of each block; the first `halvings` blocks halve the size. WGAN-GP has `pool="mean"`.
    With `classes` the logit has a projection beside its plain term (Miyato & Koyama 2018, equation 3); with `planes`
    the image has that many more channels, one-hot in the class (Mirza & Osindero 2014).
    """

    def __init__(self, widths, halvings, pool="sum", norm=False, residual=True, on_trunk=False, classes=0, planes=0):
        super().__init__()
        self.pool = pool
        self.planes = planes
        self.blocks = nn.ModuleList()
        inputs = 3 + planes
        for i, outputs in enumerate(widths):
            self.blocks.append(SnganDiscriminatorBlock(inputs, outputs, i < halvings, i == 0, norm, residual, on_trunk))
            inputs = outputs
        self.linear = nn.Linear(widths[-1], 1)
        self.to_class = nn.Embedding(classes, widths[-1]) if classes else None

    def forward(self, images, labels=None):
        x = one_hot_beside(images, labels, self.planes) if self.planes else images
        for block in self.blocks:
            x = block(x)
        x = F.relu(x).flatten(2)
        x = x.sum(dim=2) if self.pool == "sum" else x.sum(dim=2) / x.shape[2]
        logits = self.linear(x).squeeze(1)
        if self.to_class is not None:
            logits = logits + (self.to_class(labels) * x).sum(dim=1)
        return logits


# Huang et al. 2024, section 3.3 and appendix: the R3GAN pair.


class R3ganBlock(nn.Module):
    """An inverted bottleneck with a grouped convolution (Huang et al. 2024, section 3.3 and appendix).

    The paper's learned bias per channel after a convolution without one is that convolution's own bias here.
    """

    def __init__(self, width, groups, expansion=2, residual=True):
        super().__init__()
        inner = expansion * width
        self.residual = residual
        self.conv1 = nn.Conv2d(width, inner, 1)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, groups=groups)
        self.conv3 = nn.Conv2d(inner, width, 1, bias=False)

    def forward(self, x):
        y = F.leaky_relu(self.conv1(x), 0.2)
        y = F.leaky_relu(self.conv2(y), 0.2)
        y = self.conv3(y)
        if self.residual:
            y = x + y
        return y


def r3gan_kernel():
    """The resampling kernel, of sum 1: [1, 2, 1] convolved with [1, 1], in both directions (Huang et al. 2024)."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(line, line) / 64


def r3gan_upsample(x):
    """Double the size: zeros in between, then the kernel times 4 (Huang et al. 2024, section 3.3 and appendix)."""
    channels = x.shape[1]
    kernel = 4 * r3gan_kernel().to(x)
    return F.conv_transpose2d(x, kernel.repeat(channels, 1, 1, 1), stride=2, padding=1, groups=channels)


def r3gan_downsample(x):
    """Halve the size: the kernel at every second pixel (Huang et al. 2024, section 3.3 and appendix)."""
    channels = x.shape[1]
    kernel = r3gan_kernel().to(x)
    return F.conv2d(x, kernel.repeat(channels, 1, 1, 1), stride=2, padding=1, groups=channels)


class R3ganGenerator(nn.Module):
    """The generator (Huang et al. 2024, section 3.3 and appendix).

    `widths`, `groups` and `blocks` have one entry per resolution, 4x4 first. It is conditional where `classes` > 0.
    `transitions[i]` leads from `stages[i]` to `stages[i + 1]`.
    """

    def __init__(self, widths, groups, blocks, latent, embedding=0, classes=0, residual=True):
        super().__init__()
        self.classes = classes
        if classes > 0:
            self.embed = nn.Linear(classes, embedding, bias=False)
            self.linear = nn.Linear(latent + embedding, widths[0], bias=False)
        else:
            self.linear = nn.Linear(latent, widths[0], bias=False)
        self.basis = nn.Parameter(torch.randn(widths[0], 4, 4))

        self.stages = nn.ModuleList()
        for i in range(len(widths)):
            self.stages.append(
                nn.Sequential(*[R3ganBlock(widths[i], groups[i], residual=residual) for _ in range(blocks[i])])
            )

        self.transitions = nn.ModuleList()
        for i in range(len(widths) - 1):
            if widths[i] == widths[i + 1]:
                self.transitions.append(nn.Identity())
            else:
                self.transitions.append(nn.Conv2d(widths[i], widths[i + 1], 1, bias=False))

        self.to_rgb = nn.Conv2d(widths[-1], 3, 1, bias=False)

    def forward(self, z, labels=None):
        if self.classes > 0:
            one_hot = F.one_hot(labels, self.classes).to(z.dtype)
            z = torch.cat([z, self.embed(one_hot)], dim=1)
        x = self.basis * self.linear(z)[:, :, None, None]
        x = self.stages[0](x)
        for i in range(1, len(self.stages)):
            x = self.transitions[i - 1](x)
            x = r3gan_upsample(x)
            x = self.stages[i](x)
        return self.to_rgb(x)


class R3ganDiscriminator(nn.Module):
    """The discriminator (Huang et al. 2024, section 3.3 and appendix).

    `widths`, `groups` and `blocks` are ordered as in the generator, 4x4 first, but `stages` is in the order of the
    computation, highest resolution first. It is conditional where `classes` > 0.
    `transitions[i]` leads from `stages[i]` to `stages[i + 1]`.
    """

    def __init__(self, widths, groups, blocks, classes=0, embedding=0, residual=True):
        super().__init__()
        self.classes = classes
        widths = list(reversed(widths))
        groups = list(reversed(groups))
        blocks = list(reversed(blocks))

        self.from_rgb = nn.Conv2d(3, widths[0], 1, bias=False)

        self.stages = nn.ModuleList()
        for i in range(len(widths)):
            self.stages.append(
                nn.Sequential(*[R3ganBlock(widths[i], groups[i], residual=residual) for _ in range(blocks[i])])
            )

        self.transitions = nn.ModuleList()
        for i in range(len(widths) - 1):
            if widths[i] == widths[i + 1]:
                self.transitions.append(nn.Identity())
            else:
                self.transitions.append(nn.Conv2d(widths[i], widths[i + 1], 1, bias=False))

        self.basis = nn.Conv2d(widths[-1], widths[-1], 4, groups=widths[-1], bias=False)
        if classes > 0:
            self.embed = nn.Linear(classes, embedding, bias=False)
            self.linear = nn.Linear(widths[-1], embedding, bias=False)
        else:
            self.linear = nn.Linear(widths[-1], 1, bias=False)

    def forward(self, images, labels=None):
        x = self.from_rgb(images)
        x = self.stages[0](x)
        for i in range(1, len(self.stages)):
            x = r3gan_downsample(x)
            x = self.transitions[i - 1](x)
            x = self.stages[i](x)
        x = self.basis(x).flatten(1)
        x = self.linear(x)
        if self.classes > 0:
            one_hot = F.one_hot(labels, self.classes).to(x.dtype)
            return (x * self.embed(one_hot)).sum(dim=1)
        return x.squeeze(1)


# Gulrajani et al. 2017, appendix: the 101-layer ResNet pair for 64x64 images.


class WganGp101GeneratorBlock(nn.Module):
    """A pre-activation bottleneck at one size, with batch normalisation (Gulrajani et al. 2017, appendix)."""

    def __init__(self, width, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(width, width // 2, 1)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.conv3 = nn.Conv2d(width // 2, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        y = self.conv1(F.relu(x))
        y = self.conv2(F.relu(y))
        y = self.conv3(F.relu(y))
        y = 0.3 * self.norm(y)
        if self.residual:
            y = x + y
        return y


class WganGp101UpBlock(nn.Module):
    """The generator's bottleneck that doubles the size (Gulrajani et al. 2017, appendix).

    The shortcut is a 1x1 convolution to four times the channels, whose channel (dy * 2 + dx) * outputs + c becomes
    channel c of the pixel (dy, dx) of each 2x2 square.
    """

    def __init__(self, inputs, outputs, residual=True):
        super().__init__()
        self.outputs = outputs
        self.residual = residual
        self.conv1 = nn.Conv2d(inputs, inputs // 2, 1)
        self.conv2 = nn.ConvTranspose2d(inputs // 2, outputs // 2, 3, stride=2)
        self.conv3 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        if residual:
            self.shortcut = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x):
        number, _, height, width = x.shape
        y = self.conv1(F.relu(x))
        y = self.conv2(F.relu(y))[:, :, : 2 * height, : 2 * width]
        y = self.conv3(F.relu(y))
        y = 0.3 * self.norm(y)
        if self.residual:
            s = self.shortcut(x)
            s = s.view(number, 2, 2, self.outputs, height, width)  # number, dy, dx, c, row, column
            s = s.permute(0, 3, 4, 1, 5, 2)  # number, c, row, dy, column, dx
            s = s.reshape(number, self.outputs, 2 * height, 2 * width)
            y = s + y
        return y


class WganGp101Generator(nn.Module):
    """The 64x64 generator of 101 layers (Gulrajani et al. 2017, appendix)."""

    def __init__(self, dim=64, residual=True):
        super().__init__()
        self.dim = dim
        self.linear = nn.Linear(128, 4 * 4 * 8 * dim)
        self.blocks4 = nn.Sequential(*[WganGp101GeneratorBlock(8 * dim, residual) for _ in range(6)])
        self.up8 = WganGp101UpBlock(8 * dim, 4 * dim, residual)
        self.blocks8 = nn.Sequential(*[WganGp101GeneratorBlock(4 * dim, residual) for _ in range(6)])
        self.up16 = WganGp101UpBlock(4 * dim, 2 * dim, residual)
        self.blocks16 = nn.Sequential(*[WganGp101GeneratorBlock(2 * dim, residual) for _ in range(6)])
        self.up32 = WganGp101UpBlock(2 * dim, dim, residual)
        self.blocks32 = nn.Sequential(*[WganGp101GeneratorBlock(dim, residual) for _ in range(6)])
        self.up64 = WganGp101UpBlock(dim, dim // 2, residual)
        self.blocks64 = nn.Sequential(*[WganGp101GeneratorBlock(dim // 2, residual) for _ in range(5)])
        self.conv = nn.Conv2d(dim // 2, 3, 1)

    def forward(self, z):
        x = self.linear(z).view(-1, 8 * self.dim, 4, 4)
        x = self.blocks4(x)
        x = self.blocks8(self.up8(x))
        x = self.blocks16(self.up16(x))
        x = self.blocks32(self.up32(x))
        x = self.blocks64(self.up64(x))
        return torch.tanh(self.conv(x) / 5)


class WganGp101DiscriminatorBlock(nn.Module):
    """A pre-activation bottleneck at one size, with layer normalisation (Gulrajani et al. 2017, appendix).

    The layer normalisation is over channels, rows and columns, with a gain and a bias per channel.
    """

    def __init__(self, width, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(width, width // 2, 1)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.conv3 = nn.Conv2d(width // 2, width, 1, bias=False)
        self.norm = nn.GroupNorm(1, width)

    def forward(self, x):
        y = self.conv1(F.relu(x))
        y = self.conv2(F.relu(y))
        y = self.conv3(F.relu(y))
        y = 0.3 * self.norm(y)
        if self.residual:
            y = x + y
        return y


class WganGp101DownBlock(nn.Module):
    """The discriminator's bottleneck that halves the size (Gulrajani et al. 2017, appendix).

    The convolution of stride 2 is padded below and to the right only, as in TensorFlow.
    """

    def __init__(self, inputs, outputs, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(inputs, inputs // 2, 1)
        self.conv2 = nn.Conv2d(inputs // 2, outputs // 2, 3, stride=2)
        self.conv3 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.norm = nn.GroupNorm(1, outputs)
        if residual:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=2)

    def forward(self, x):
        y = self.conv1(F.relu(x))
        y = self.conv2(F.pad(F.relu(y), (0, 1, 0, 1)))
        y = self.conv3(F.relu(y))
        y = 0.3 * self.norm(y)
        if self.residual:
            y = self.shortcut(x) + y
        return y


class WganGp101Discriminator(nn.Module):
    """The 64x64 discriminator, or critic, of 101 layers (Gulrajani et al. 2017, appendix)."""

    def __init__(self, dim=64, residual=True):
        super().__init__()
        self.conv = nn.Conv2d(3, dim // 2, 1)
        self.blocks64 = nn.Sequential(*[WganGp101DiscriminatorBlock(dim // 2, residual) for _ in range(5)])
        self.down32 = WganGp101DownBlock(dim // 2, dim, residual)
        self.blocks32 = nn.Sequential(*[WganGp101DiscriminatorBlock(dim, residual) for _ in range(6)])
        self.down16 = WganGp101DownBlock(dim, 2 * dim, residual)
        self.blocks16 = nn.Sequential(*[WganGp101DiscriminatorBlock(2 * dim, residual) for _ in range(6)])
        self.down8 = WganGp101DownBlock(2 * dim, 4 * dim, residual)
        self.blocks8 = nn.Sequential(*[WganGp101DiscriminatorBlock(4 * dim, residual) for _ in range(6)])
        self.down4 = WganGp101DownBlock(4 * dim, 8 * dim, residual)
        self.blocks4 = nn.Sequential(*[WganGp101DiscriminatorBlock(8 * dim, residual) for _ in range(6)])
        self.linear = nn.Linear(4 * 4 * 8 * dim, 1)

    def forward(self, images):
        x = self.conv(images)
        x = self.blocks64(x)
        x = self.blocks32(self.down32(x))
        x = self.blocks16(self.down16(x))
        x = self.blocks8(self.down8(x))
        x = self.blocks4(self.down4(x))
        return self.linear(x.flatten(1)).squeeze(1) / 5


# Radford et al. 2016, with the kernels, norms and leaky ReLU of pytorch-gan-collections: the DCGAN pair.


class DcganGeneratorBlock(nn.Module):
    """A transposed convolution of stride 2, batch normalisation and a ReLU (Radford et al. 2016, section 3).

    With a shortcut, a 1x1 projection of the input at twice the size is added before the ReLU. With `on_trunk` that
    projection is the block's input, and the convolution a 3x3 of stride 1.
    """

    def __init__(self, inputs, outputs, norm=True, residual=False, on_trunk=False):
        super().__init__()
        self.residual = residual
        self.on_trunk = on_trunk
        if on_trunk:
            self.trunk = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.conv = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        else:
            if residual:
                self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x):
        if self.on_trunk:
            x = self.trunk(twice_the_size(x))
        y = self.bn(self.conv(x))
        if self.residual:
            y = y + (x if self.on_trunk else self.shortcut(twice_the_size(x)))
        return F.relu(y)


class DcganGenerator(nn.Module):
    """The generator: four doublings, the last one to the image (Radford et al. 2016, figure 1)."""

    def __init__(self, width, base, latent, norm=True, residual=False, on_trunk=False):
        super().__init__()
        self.base = base
        self.linear = nn.Linear(latent, width * base * base, bias=False)
        self.bn = nn.BatchNorm2d(width) if norm else nn.Identity()
        self.blocks = nn.Sequential(
            DcganGeneratorBlock(width, width // 2, norm, residual, on_trunk),
            DcganGeneratorBlock(width // 2, width // 4, norm, residual, on_trunk),
            DcganGeneratorBlock(width // 4, width // 8, norm, residual, on_trunk),
        )
        self.to_image = nn.ConvTranspose2d(width // 8, 3, 4, stride=2, padding=1, bias=False)

    def forward(self, z):
        x = self.linear(z).view(len(z), -1, self.base, self.base)
        x = F.relu(self.bn(x))
        x = self.blocks(x)
        return torch.tanh(self.to_image(x))


class DcganDiscriminatorBlock(nn.Module):
    """A 5x5 convolution of stride 2, a leaky ReLU, and then the norm, as in pytorch-gan-collections.

    With a shortcut, a 1x1 projection of the input at half the size is added at the end. With `on_trunk` that projection
    is the block's input, the convolution has stride 1, and the sum is halved.
    """

    def __init__(self, inputs, outputs, norm=True, residual=False, on_trunk=False):
        super().__init__()
        self.residual = residual
        self.on_trunk = on_trunk
        if on_trunk:
            self.trunk = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.conv = nn.Conv2d(outputs, outputs, 5, padding=2, bias=False)
        else:
            if residual:
                self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
            self.conv = nn.Conv2d(inputs, outputs, 5, stride=2, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(outputs) if norm else nn.Identity()

    def forward(self, x):
        if self.on_trunk:
            x = self.trunk(x)
        y = self.bn(F.leaky_relu(self.conv(x), 0.2))
        if self.residual:
            y = y + (x if self.on_trunk else self.shortcut(F.avg_pool2d(x, 2)))
        return F.avg_pool2d(y, 2) if self.on_trunk else y


class DcganDiscriminator(nn.Module):
    """The discriminator: four halvings, the first without a norm, and a linear layer (Radford et al. 2016)."""

    def __init__(self, width, base, norm=True, residual=False, on_trunk=False):
        super().__init__()
        self.blocks = nn.Sequential(
            DcganDiscriminatorBlock(3, width // 8, False, residual, on_trunk),
            DcganDiscriminatorBlock(width // 8, width // 4, norm, residual, on_trunk),
            DcganDiscriminatorBlock(width // 4, width // 2, norm, residual, on_trunk),
            DcganDiscriminatorBlock(width // 2, width, norm, residual, on_trunk),
        )
        self.linear = nn.Linear(width * base * base, 1)

    def forward(self, images):
        x = self.blocks(images)
        return self.linear(x.flatten(1)).squeeze(1)


# The lab networks and the multilayer perceptrons, written from docs/wirings.md and their docstrings, as functions of
# the weights `w` under the networks' own names.


def leaky(x):
    return F.leaky_relu(x, 0.2)


def affine(w, name, x, groups=1):
    """A linear layer, or a convolution that keeps the size."""
    weight, bias = w[f"{name}.weight"], w.get(f"{name}.bias")
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2, groups=groups)


def normed(w, name, x, norm, labels=None):
    """Normalise over this batch, with a gain and a bias per channel; with labels, per class and channel."""
    around = [1] * (x.ndim - 2)
    if norm == "batch":
        over = [0, *range(2, x.ndim)]
        x = (x - x.mean(over, keepdim=True)) / (x.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    elif norm == "group":
        x = F.group_norm(x, 8)
    elif norm == "pixel":
        x = x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()
    if labels is not None:
        gain, bias = w[f"{name}.gain"][labels], w[f"{name}.bias"][labels]  # (N, C)
        return gain.view(*gain.shape, *around) * x + bias.view(*gain.shape, *around)
    if norm in ("batch", "group"):
        return w[f"{name}.weight"].view(-1, *around) * x + w[f"{name}.bias"].view(-1, *around)
    return x


def lab_block(
    w,
    name,
    x,
    labels,
    *,
    block,
    norm,
    residual,
    join,
    depth,
    norm_place="trunk",
    branch_scale=1.0,
    layer_scale=None,
    group_size=16,
):
    """A block of constant width, as in the table of docs/wirings.md. With labels, its norms are class-conditional."""

    def n(k, y):
        return normed(w, f"{name}.norm{k}", y, norm, labels) if norm_place == "branch" else y

    def c(k, y, groups=1):
        return affine(w, f"{name}.layer{k}", y, groups)

    if norm_place == "trunk" and block != "bottleneck":
        x = normed(w, f"{name}.norm", x, norm, labels)
    if block == "preact":
        y = c(2, leaky(n(2, c(1, leaky(n(1, x))))))
    elif block == "postact":
        y = n(2, c(2, leaky(n(1, c(1, x)))))
    elif block == "stylegan2":
        y = leaky(n(2, c(2, leaky(n(1, c(1, x))))))
    elif block == "bottleneck":
        y = c(3, leaky(c(2, leaky(c(1, x)), groups=2 * x.shape[1] // group_size)))
    if join == "gated" or layer_scale is not None:
        y = w[f"{name}.gate"].view(-1, *[1] * (x.ndim - 2)) * y
    y = joined(x, branch_scale * y, residual=residual, join=join, depth=depth)
    return leaky(y) if block == "postact" else y


def joined(x, y, *, residual, join, depth):
    if not residual:
        return y
    return {"stable": x + y / depth**0.5, "scaled": (x + y) / 2**0.5}.get(join, x + y)


def lab_stage(w, name, x, labels, *, blocks, **options):
    """Blocks at one resolution, after a 1x1 convolution where the width changes."""
    if f"{name}.to_width.weight" in w:
        x = affine(w, f"{name}.to_width", x)
    for k in range(blocks):
        x = lab_block(w, f"{name}.blocks.{k}", x, labels, **options)
    return x


def lab_generator(w, z, labels, *, blocks, norm, conditional, image_skips, **options):
    """Build up from 4x4 pixels; with image skips, sum an image from each resolution."""
    if conditional == "concat":
        z = torch.cat([z, w["with_code.code.weight"][labels]], dim=1)
    told = labels if conditional == "norm" else None
    x = affine(w, "base", z).view(len(z), -1, 4, 4)
    images = 0.0
    options |= {"norm": norm, "depth": sum(blocks)}
    for k in range(len(blocks)):
        x = lab_stage(w, f"stages.{k}", twice_the_size(x) if k else x, told, blocks=blocks[k], **options)
        if image_skips and k < len(blocks) - 1:
            images = images + affine(w, f"to_images.{k}.layer", leaky(normed(w, f"to_images.{k}.norm", x, norm)))
            images = twice_the_size(images)
    return images + affine(w, "to_image", leaky(normed(w, "norm", x, norm)))


def lab_discriminator(w, images, labels, *, blocks, norm, conditional, classes, image_skips, **options):
    """Reduce to 4x4 pixels; with image skips, add the image at each resolution to the features."""
    x = affine(w, "from_image", one_hot_beside(images, labels, classes) if conditional == "concat" else images)
    options |= {"norm": norm, "depth": sum(blocks)}
    for k in range(len(blocks)):
        if k > 0:
            x, images = F.avg_pool2d(x, 2), F.avg_pool2d(images, 2)
            if image_skips:
                x = x + affine(w, f"from_images.{k - 1}", images)
        x = lab_stage(w, f"stages.{k}", x, None, blocks=blocks[len(blocks) - 1 - k], **options)
    return logits_of(w, "to_logit", leaky(normed(w, "norm", x, norm)).flatten(1), labels, conditional)


def logits_of(w, name, h, labels, conditional):
    """Compute w . h + b, plus v_y . h with a projection (Miyato & Koyama 2018, equation 3)."""
    logits = affine(w, name, h).squeeze(1)
    if conditional == "projection":
        logits = logits + (w["to_class.weight"][labels] * h).sum(dim=1)
    return logits


def mlp_features(w, x, labels, *, blocks, norm, **options):
    """Compute the input of a perceptron's last layer."""
    x = affine(w, "trunk.first", x)
    for k in range(blocks):
        x = lab_block(w, f"trunk.blocks.{k}", x, labels, norm=norm, depth=blocks, **options)
    return leaky(normed(w, "trunk.norm", x, norm))


def mlp_generator(w, z, labels, *, conditional, **options):
    if conditional == "concat":
        z = torch.cat([z, w["with_code.code.weight"][labels]], dim=1)
    return affine(w, "trunk.last", mlp_features(w, z, labels if conditional == "norm" else None, **options))


def mlp_discriminator(w, samples, labels, *, conditional, classes, **options):
    x = samples.flatten(1)
    x = one_hot_beside(x, labels, classes) if conditional == "concat" else x
    return logits_of(w, "trunk.last", mlp_features(w, x, None, **options), labels, conditional)
