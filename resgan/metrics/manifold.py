"""Distances of images from manifolds of known images: masks at any centre, in colours of channels -1 or 1."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from resgan.base.images import as_uint8, to_float

STEP = 0.25  # between centres of the coarse search, in pixels
REFINEMENTS = 6  # steps of Gauss-Newton
CHUNK = 500  # images at a time


@dataclass(frozen=True)
class Located:
    """Points on the manifolds that are nearest to the images of a batch."""

    distances: Tensor  # (N,), L2 on [-1, 1] to the nearest known image of any class
    labels: Tensor  # int64 (N,), its class
    centres: Tensor  # (N, 2), its centre (x, y)


@dataclass(frozen=True, kw_only=True)
class Manifold:
    """Images `mask(form, centre)` x `colour`, a class for each form and colour (label: form * colours + colour)."""

    masks: Callable[[Tensor, Tensor], Tensor]  # forms (N,), centres (N, 2) -> (N, H, W) in [0, 1]
    slopes: Callable[[Tensor, Tensor], Tensor]  # the same -> derivatives with respect to the centre (N, 2, H, W)
    forms: int
    colours: Tensor  # (K, C), each entry -1 or 1
    low: float  # of both coordinates of a centre
    high: float

    def locate(self, images: Tensor) -> Located:
        """Find the nearest known image of any class to each of the images (N, C, H, W), taken as uint8.

        A search over centres STEP apart finds the class and a first centre; Gauss-Newton refines the centre, and never
        increases the distance.
        """
        found = [self._locate(to_float(chunk).flatten(2)) for chunk in as_uint8(images).split(CHUNK)]
        return Located(*(torch.cat(parts) for parts in zip(*found, strict=True)))

    def _locate(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        forms, hues, centres = self._nearest_on_grid(images)
        signs = self.colours[hues].unsqueeze(2)
        # |x - mask * colour|^2 = |x - t * colour|^2 + C |mask - t|^2 with t, the mean of x * colour over the channels.
        target = (images * signs).mean(1)
        across = (images - target.unsqueeze(1) * signs).square().sum((1, 2))
        centres, squares = self._refined(target, forms, centres)
        distances = (across + images.shape[1] * squares).sqrt()
        return distances, forms * len(self.colours) + hues, centres

    def _nearest_on_grid(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return form (n,), colour (n,) and centre (n, 2) of the nearest image on the grid, for images (n, C, P)."""
        masks, energy = self._grid_masks
        overlaps = images @ masks.T  # (n, C, forms * centres)
        # |x - mask * colour|^2 minus |x|^2, for each colour in turn
        squares = (energy - 2 * sum(s * overlaps[:, c] for c, s in enumerate(signs)) for signs in self.colours.tolist())
        least, places = torch.stack([torch.stack(square.min(1)) for square in squares], dim=-1)  # (n, K)
        hues = least.argmin(1)
        place = places.gather(1, hues.unsqueeze(1)).squeeze(1).long()
        return place // len(self._grid), hues, self._grid[place % len(self._grid)]

    @cached_property
    def _grid(self) -> Tensor:
        """Centres (M, 2), STEP apart."""
        line = torch.linspace(self.low, self.high, round((self.high - self.low) / STEP) + 1)
        return torch.cartesian_prod(line, line)

    @cached_property
    def _grid_masks(self) -> tuple[Tensor, Tensor]:
        """Masks of all forms at the centres of the grid, (forms * M, P), and the energy of their images."""
        forms = torch.arange(self.forms).repeat_interleave(len(self._grid))
        masks = self.masks(forms, self._grid.repeat(self.forms, 1)).flatten(1)
        return masks, self.colours.shape[1] * masks.square().sum(1)

    def _refined(self, target: Tensor, forms: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Refine centres (n, 2) towards the target (n, P); return them and the squared distances of their masks (n,).

        A step that leaves the square is cut at its border; a step that increases the distance is not taken.
        """
        mask, slopes = self._tangent(forms, centres)
        squares = (target - mask).square().sum(1)
        for _ in range(REFINEMENTS):
            step = self._gauss_newton(target - mask, slopes, centres)
            there = (centres + step).clamp(self.low, self.high)
            mask_there, slopes_there = self._tangent(forms, there)
            squares_there = (target - mask_there).square().sum(1)
            nearer = squares_there < squares
            squares = torch.where(nearer, squares_there, squares)
            centres = torch.where(nearer.unsqueeze(1), there, centres)
            mask = torch.where(nearer.unsqueeze(1), mask_there, mask)
            slopes = torch.where(nearer.view(-1, 1, 1), slopes_there, slopes)
        return centres, squares

    def _tangent(self, forms: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (n, P), and their derivatives by both coordinates of the centre (n, 2, P)."""
        return self.masks(forms, centres).flatten(1), self.slopes(forms, centres).flatten(2)

    def _gauss_newton(self, residual: Tensor, slopes: Tensor, centres: Tensor) -> Tensor:
        """Return the step (n, 2) that would minimise the residual (n, P) if the slopes (n, 2, P) were constant.

        At a border, a coordinate that would leave the square is held, and the other moves as if alone.
        """
        gradient = (slopes @ residual.unsqueeze(2)).squeeze(2)
        curvature = slopes @ slopes.mT + 1e-6 * torch.eye(2)
        step = torch.linalg.solve(curvature, gradient)
        free = ~(((centres <= self.low) & (step < 0)) | ((centres >= self.high) & (step > 0)))
        alone = free * gradient / curvature.diagonal(dim1=1, dim2=2)
        return torch.where(free.all(1, keepdim=True), step, alone)
