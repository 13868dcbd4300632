"""What every place of the field is like at rest, and how noisy: learned slowly, where it is quiet."""

import numpy as np

from stream.field.blocks import Blocks, block_sums
from stream.field.maps import DARK_PHOTONS, Map, Mask, learn

WARM_UP_FRAMES = 10  # whose median is the first baseline
BASELINE_RATE = 0.02  # of the exponential means of baseline and noise
QUIET_Z = 3.0  # above this, something happens at a place
# Averaged movies scatter less than their photons, but at a hundredth of that the image is constant.
MIN_VARIANCE = 0.01
MEDIAN_TO_MEAN = np.pi / 2  # variance of a median over that of a mean, of many normal deviates


class Rest:
    """Baseline and noise of the bins of a field.

    Parameters
    ----------
    first
        The warm-up frames, each divided by its mean, (WARM_UP_FRAMES, h, w).
    mean
        Photons in a bin, mean over field and frames.
    n_blocks
        Blocks along both sides.

    Attributes
    ----------
    light
        Photons of each bin at rest, for a lamp of 1, (h, w).
    variance
        Variance of a bin over the light expected in it, (h, w).
    """

    def __init__(self, first: Map, mean: float, n_blocks: tuple[int, int]) -> None:
        self.light: Map = (np.median(first, axis=0) * mean).astype(np.float32)
        light = np.maximum(self.light, DARK_PHOTONS)
        # Against the sample's median, n deviates lose about one degree of freedom.
        excess = ((first * mean - self.light) ** 2).sum(axis=0) / (len(first) - 1) / light
        # The median over the bins leaves out those that were active; χ² of 9 degrees has its median at 0.927.
        self.variance: Map = np.full_like(self.light, max(np.median(excess) / 0.927, MIN_VARIANCE))
        self._frames = 0
        self._busy: Map = np.zeros_like(self.light)  # frames, counted in the type of all maps
        self._bins: Blocks = np.zeros(n_blocks)
        block_sums(np.ones_like(self.light), self._bins)

    @property
    def rate(self) -> float:
        """Weight of the next frame."""
        return max(BASELINE_RATE, 1 / (WARM_UP_FRAMES + self._frames + 1))

    @property
    def uncertainty(self) -> float:
        """Variance of the baseline over that of a frame."""
        n = WARM_UP_FRAMES + self._frames
        return max(BASELINE_RATE / (2 - BASELINE_RATE), MEDIAN_TO_MEAN / n)

    def blocks(self) -> tuple[Blocks, Blocks]:
        """Light of the blocks at rest, and the variance of their sums over it."""
        light, variance = np.empty_like(self._bins), np.empty_like(self._bins)
        block_sums(self.light, light)
        block_sums(self.variance, variance)
        return np.maximum(light, DARK_PHOTONS), variance / self._bins

    def learn(self, bins: Map, deviation: Map, z: Map, wave: Mask, lamp: float, max_frames: int) -> None:
        """Take a frame into baseline and noise of the bins that are quiet."""
        learn(
            bins,
            deviation,
            z,
            wave,
            lamp,
            QUIET_Z,
            self.rate,
            max_frames,
            MIN_VARIANCE,
            self.light,
            self.variance,
            self._busy,
        )
        self._frames += 1
