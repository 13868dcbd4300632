"""The slow baseline of the calcium channel, which the network sees beside the frame itself."""

import numpy as np
from numpy.typing import NDArray

BASELINE_RATE = 0.03


class Baseline:
    """Running mean of images: of all so far at first, then an exponential one over about 1 / `rate` frames.

    The newest image counts too, with the weight max(1 / n, `rate`) after n images.
    """

    def __init__(self, rate: float = BASELINE_RATE) -> None:
        self._rate = rate
        self._n = 0
        self._mean: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def step(self, photons: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take an image (H, W) in photons; give the baseline (H, W), which the next step overwrites."""
        self._n += 1
        if self._n == 1:
            self._mean = photons.astype(np.float32)
        else:
            self._mean += np.float32(max(1 / self._n, self._rate)) * (photons - self._mean)
        return self._mean
