"""Plain PyTorch rewrites of published GAN networks: a second implementation for the tests to compare with.

Written from the papers' descriptions, with nothing shared between the papers:

- Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks" (SNGAN);
- Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN" (R3GAN);
- Gulrajani et al. 2017, "Improved Training of Wasserstein GANs" (WGAN-GP).

Everywhere, `residual=False` leaves the shortcuts out: a block is then its main path alone, and a layer that only the
shortcut would use is not created. Discriminators return one logit per image, of shape (N,).
"""

import torch
import torch.nn.functional as F
from torch import nn

# Miyato et al. 2018, appendix B.4, table 4: the ResNet pair for CIFAR-10.


class Sngan32GeneratorBlock(nn.Module):
    """An upsampling block of the generator (Miyato et al. 2018, appendix B.4, table 4)."""

    def __init__(self, width, upsample="nearest", residual=True):
        super().__init__()
        if upsample not in ("nearest", "bilinear"):
            raise ValueError(f"upsample must be 'nearest' or 'bilinear', not {upsample!r}")
        self.upsample = upsample
        self.residual = residual
        self.bn1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if residual:
            self.shortcut = nn.Conv2d(width, width, 1)

    def twice_the_size(self, x):
        if self.upsample == "nearest":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def forward(self, x):
        y = self.twice_the_size(F.relu(self.bn1(x)))
        y = self.conv1(y)
        y = self.conv2(F.relu(self.bn2(y)))
        if self.residual:
            y = y + self.shortcut(self.twice_the_size(x))
        return y


class Sngan32Generator(nn.Module):
    """The 32x32 generator (Miyato et al. 2018, appendix B.4, table 4)."""

    def __init__(self, width=256, latent=128, upsample="nearest", residual=True):
        super().__init__()
        self.width = width
        self.linear = nn.Linear(latent, 4 * 4 * width)
        self.block1 = Sngan32GeneratorBlock(width, upsample, residual)
        self.block2 = Sngan32GeneratorBlock(width, upsample, residual)
        self.block3 = Sngan32GeneratorBlock(width, upsample, residual)
        self.bn = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z):
        x = self.linear(z).view(-1, self.width, 4, 4)
        x = self.block1(x)
        x = self.block2(x)
        x = self.block3(x)
        return torch.tanh(self.conv(F.relu(self.bn(x))))


class Sngan32DiscriminatorFirstBlock(nn.Module):
    """The discriminator's first, halving block, which sees the image (Miyato et al. 2018, appendix B.4, table 4)."""

    def __init__(self, width, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if residual:
            self.shortcut = nn.Conv2d(3, width, 1)

    def forward(self, x):
        y = self.conv1(x)
        y = self.conv2(F.relu(y))
        y = F.avg_pool2d(y, 2)
        if self.residual:
            y = y + self.shortcut(F.avg_pool2d(x, 2))
        return y


class Sngan32DiscriminatorHalvingBlock(nn.Module):
    """The discriminator's second, halving block (Miyato et al. 2018, appendix B.4, table 4)."""

    def __init__(self, width, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if residual:
            self.shortcut = nn.Conv2d(width, width, 1)

    def forward(self, x):
        y = self.conv1(F.relu(x))
        y = self.conv2(F.relu(y))
        y = F.avg_pool2d(y, 2)
        if self.residual:
            y = y + F.avg_pool2d(self.shortcut(x), 2)
        return y


class Sngan32DiscriminatorBlock(nn.Module):
    """The discriminator's third and fourth blocks, of constant size (Miyato et al. 2018, appendix B.4, table 4)."""

    def __init__(self, width, residual=True):
        super().__init__()
        self.residual = residual
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        y = self.conv1(F.relu(x))
        y = self.conv2(F.relu(y))
        if self.residual:
            y = y + x
        return y


class Sngan32Discriminator(nn.Module):
    """The 32x32 discriminator, without its spectral normalisation (Miyato et al. 2018, appendix B.4, table 4).

    `bias` says whether the last linear layer has one; every convolution does.
    """

    def __init__(self, width=128, bias=True, residual=True):
        super().__init__()
        self.block1 = Sngan32DiscriminatorFirstBlock(width, residual)
        self.block2 = Sngan32DiscriminatorHalvingBlock(width, residual)
        self.block3 = Sngan32DiscriminatorBlock(width, residual)
        self.block4 = Sngan32DiscriminatorBlock(width, residual)
        self.linear = nn.Linear(width, 1, bias=bias)

    def forward(self, images):
        x = self.block1(images)
        x = self.block2(x)
        x = self.block3(x)
        x = self.block4(x)
        x = F.relu(x).sum(dim=(2, 3))
        return self.linear(x).squeeze(1)


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
    """Twice the size: zeros in between, then the kernel times 4 (Huang et al. 2024, section 3.3 and appendix)."""
    channels = x.shape[1]
    kernel = 4 * r3gan_kernel().to(x)
    return F.conv_transpose2d(x, kernel.repeat(channels, 1, 1, 1), stride=2, padding=1, groups=channels)


def r3gan_downsample(x):
    """Half the size: the kernel at every second pixel (Huang et al. 2024, section 3.3 and appendix)."""
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

    `widths`, `groups` and `blocks` are given as to the generator, 4x4 first, but `stages` holds them in the order in
    which the image meets them, highest resolution first. It is conditional where `classes` > 0.
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

    Where the convolution of stride 2 reaches beyond the image, it is below and to the right, as TensorFlow pads.
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
