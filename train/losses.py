"""Losses of localization and calcium, and their weighting by learned uncertainties."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.maps import (
    BACKGROUND,
    DX,
    DY,
    LOG_PHOTONS,
    LOG_SD_PHOTONS,
    LOG_SD_X,
    LOG_SD_Y,
    LOG_SIGMA,
    LOGIT,
    normalize,
)
from train.batch import Batch

REACH = 2  # an emitter may be told of by the (2 · REACH + 1)² pixels around it
FOCAL_GAMMA = 2.0


def localization_loss(maps: Tensor, batch: Batch, photon_weight: float = 1.0) -> dict[str, Tensor]:
    """Terms of the localization loss, each a scalar; after DECODE.

    Source: Speiser et al., Nat. Methods 18, 1082 (2021).

    With probabilities p of all pixels, the number of emitters is Gaussian with mean Σp and variance
    Σp(1 − p) (Poisson-binomial), and each emitter is drawn from the mixture of the pixels' Gaussians in
    x, y and ln N with weights p / Σp. Sums over the emitters of a crop are weighted by n^-½, so that
    dense crops don't drown the sparse ones.

    Parameters
    ----------
    maps
        (B, N_MAPS, H, W), see `model.maps`.
    photon_weight
        Weight of the photons' term within the log-likelihood of an emitter; 1 is the likelihood itself.

    Returns
    -------
    "count": negative log-likelihood of the number of emitters per crop; "position": of the emitters;
    "background": squared error on the scale of `normalize`; "sigma": squared error of ln σ;
    "detection": binary cross entropy of the emitters' own pixels, which leads the first steps.
    """
    maps = maps.float()
    n = batch.is_emitter.sum(1).float()
    logit = maps[:, LOGIT]
    p = torch.sigmoid(logit)
    total, variance = p.sum((1, 2)), (p * (1 - p)).sum((1, 2)) + 1e-3
    count = 0.5 * ((n - total) ** 2 / variance + torch.log(2 * math.pi * variance))

    log_density, sigma = _components(maps, batch, photon_weight)
    log_mixture = torch.logsumexp(log_density, -1) - torch.log(total)[:, None]
    per_crop = n.clamp(min=1) ** -0.5
    position = -(log_mixture * batch.is_emitter).sum(1) * per_crop
    responsibility = torch.softmax(log_density.detach(), -1)
    sigma_error = (responsibility * (sigma - torch.log(batch.sigma_px)[..., None]) ** 2).sum(-1)

    background_error = maps[:, BACKGROUND] - normalize(batch.background)
    return {
        "count": count.mean(),
        "position": position.mean(),
        "background": (background_error**2).mean(),
        "sigma": (sigma_error * batch.is_emitter).sum() / n.sum().clamp(min=1),
        "detection": functional.binary_cross_entropy_with_logits(logit, _occupied(batch)),
    }


def calcium_loss(log_odds: Tensor, batch: Batch, kind: str = "focal") -> Tensor:
    """Loss of the calcium log-odds (B, 1, H, W), weighted by pixel.

    "cross_entropy", or "focal", which leaves well-classified pixels to themselves (Lin et al., ICCV
    2017), for labels in which calcium is rare.
    """
    assert batch.calcium_label is not None and batch.calcium_weight is not None
    log_odds = log_odds[:, 0].float()
    loss = functional.binary_cross_entropy_with_logits(log_odds, batch.calcium_label, reduction="none")
    if kind == "focal":
        loss = loss * (1 - torch.exp(-loss)) ** FOCAL_GAMMA
    return (loss * batch.calcium_weight).sum() / batch.calcium_weight.sum().clamp(min=1)


class UncertaintyWeighting(nn.Module):
    """Task losses weighted by learned variances: Σ L·exp(−s) + s (Kendall, Gal & Cipolla, CVPR 2018).

    `log_variance` holds s for each task; exp(−s) starts at the given weight.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict(
            {task: nn.Parameter(torch.tensor(-math.log(weight))) for task, weight in weights.items()}
        )

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """Weight the losses by task and add them up."""
        terms = [
            loss * torch.exp(-self.log_variance[task]) + self.log_variance[task]
            for task, loss in losses.items()
        ]
        return torch.stack(terms).sum()


def _components(maps: Tensor, batch: Batch, photon_weight: float) -> tuple[Tensor, Tensor]:
    """Log of p times density at each emitter, and ln σ, of the pixels around it: (B, N, 25) each."""
    height, width = maps.shape[-2:]
    offsets = torch.arange(-REACH, REACH + 1, device=maps.device)
    pixel = batch.xy.round().long()
    column = pixel[..., 0, None, None] + offsets  # (B, N, 1, 5)
    row = pixel[..., 1, None, None] + offsets[:, None]  # (B, N, 5, 1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)).flatten(1)
    near = maps.flatten(2).gather(2, index[:, None].expand(-1, maps.shape[1], -1))
    near = near.view(*near.shape[:2], inside.shape[1], -1)  # (B, N_MAPS, N, 25)
    column, row = (side.expand_as(inside).flatten(-2).float() for side in (column, row))
    log_density = functional.logsigmoid(near[:, LOGIT])
    for weight, at, mean, log_sd in (
        (1.0, batch.xy[..., 0, None], column + near[:, DX], near[:, LOG_SD_X]),
        (1.0, batch.xy[..., 1, None], row + near[:, DY], near[:, LOG_SD_Y]),
        (photon_weight, torch.log(batch.photons)[..., None], near[:, LOG_PHOTONS], near[:, LOG_SD_PHOTONS]),
    ):
        squares = 0.5 * ((at - mean) * torch.exp(-log_sd)) ** 2
        log_density = log_density - weight * (squares + log_sd + 0.5 * math.log(2 * math.pi))
    return log_density.masked_fill(~inside.flatten(-2), -1e4), near[:, LOG_SIGMA]


def _occupied(batch: Batch) -> Tensor:
    """(B, H, W): 1 in the pixels that hold an emitter."""
    image = torch.zeros_like(batch.background)
    height, width = image.shape[1:]
    pixel = batch.xy.round().long()
    index = pixel[..., 1].clamp(0, height - 1) * width + pixel[..., 0].clamp(0, width - 1)
    return image.flatten(1).scatter_reduce(1, index, batch.is_emitter.float(), "amax").view_as(image)
