"""The light of the calcium channel at rest, pixel by pixel: what a frame is compared with.

A running mean of every pixel in units of the lamp, frozen where and while calcium is up. Structures and
uneven illumination lie in it, bleaching and flicker in the lamp's level, so a track needs no baseline of
its own: it can be measured from the frame it appears in.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Image = NDArray[np.float32]

RATE = 0.02  # of the running mean, a frame
# Pixels that are too bright at first, as calcium was up when the movie began, are followed faster.
RATE_DOWN = 0.1
FREEZE_SD = 3.0  # a 5 × 5 mean further than this above the rest is calcium
MAX_LEVEL = 2.0  # a frame twice as bright as all before: those were dark, it is the first one
# Side of the blocks whose ratios tell the lamp's level, and their spacing: a quarter of the image does.
BLOCK, SPACING = 4, 8
# Waves and clouds only brighten: a low quantile holds as long as 70 % of the image is at rest or less.
LAMP_QUANTILE = 0.3
MIN_SHARE = 0.1  # of the mean: darker pixels count as this bright


class RestingLight:
    """Follows the resting light of the calcium channel.

    Parameters
    ----------
    patience_frames
        What stays up for longer is the new rest.

    Attributes
    ----------
    frames
        Frames learned from; 0 before the first.
    reference
        Expected photons of the present frame at rest, float32 (H, W).
    level
        The lamp in this frame, relative to the first.
    """

    def __init__(self, patience_frames: int) -> None:
        self._patience = patience_frames
        self.frames = 0
        self.level = 1.0
        self.reference: Image = np.empty((0, 0), np.float32)
        self._rest: Image = self.reference
        self._up = np.empty((0, 0), np.int16)

    def look(self, image: Image) -> bool:
        """Compare with `image`, photons (H, W); False where there is nothing to compare with yet."""
        if self.frames and image.shape == self._rest.shape:
            ratios = _block_ratios(image, self._rest)
            k = int(LAMP_QUANTILE * len(ratios))
            self.level = float(np.partition(ratios, k)[k]) if len(ratios) else 0.0
            if self.level <= MAX_LEVEL:
                self.reference = self._rest * np.float32(max(self.level, 0.0))
                return self.level > 0
        self.frames, self.level = 0, 1.0
        self._rest = _smooth(image)
        floor = np.float32(max(MIN_SHARE * float(self._rest.mean()), 1e-6))
        np.maximum(self._rest, floor, out=self._rest)
        self.reference = self._rest
        self._up = np.zeros(image.shape, np.int16)
        return False

    def learn(self, image: Image, noise: float) -> None:
        """Take the frame last looked at into the running mean.

        `noise` is its standard deviation relative to that of its photons.
        """
        if self.frames and self.level > 0:
            _learn(image, self._rest, self._up, self.level, self.frames, noise, self._patience)
        self.frames += 1


@njit(cache=True, nogil=True)
def _block_ratios(image: Image, rest: Image) -> NDArray[np.float64]:
    tops = range(0, image.shape[0] - BLOCK + 1, SPACING)
    lefts = range(0, image.shape[1] - BLOCK + 1, SPACING)
    ratios = np.empty(len(tops) * len(lefts))
    n = 0
    for top in tops:
        for left in lefts:
            light, expected = 0.0, 0.0
            for r in range(top, top + BLOCK):
                for c in range(left, left + BLOCK):
                    light += image[r, c]
                    expected += rest[r, c]
            ratios[n] = light / expected
            n += 1
    return ratios


def _smooth(image: Image) -> Image:
    """Mean of 3 × 3 pixels, fewer at the border."""
    padded = np.pad(image, 1, mode="edge")
    height, width = image.shape
    mean = np.zeros_like(image)
    for i in range(3):
        for j in range(3):
            mean += padded[i : i + height, j : j + width] / np.float32(9)
    return mean


@njit(cache=True, nogil=True)
def _learn(
    image: Image, rest: Image, up: NDArray[np.int16], level: float, frames: int, noise: float, patience: int
) -> None:
    """`up` counts the frames that a pixel has been above its rest, by the 5 × 5 mean around it.

    Nothing branches within a row, so that compilers make vector instructions of it.
    """
    height, width = image.shape
    clear = min(level, 1.0)  # a dimmed frame is noisier and weighs less
    rate, down = max(1.0 / (frames + 1), RATE) * clear, max(1.0 / (frames + 1), RATE_DOWN) * clear
    light, expected = np.zeros(width + 4), np.zeros(width + 4)  # sums of 5 rows; 2 columns beyond each border
    old = rest.copy()
    limit2_per_photon = (FREEZE_SD * noise) ** 2 * (1.0 + 1.0 / frames)
    to_rest = 1.0 / level
    for r in range(-2, height):
        if r + 2 < height:
            for c in range(width):
                light[c + 2] += image[r + 2, c]
                expected[c + 2] += old[r + 2, c]
        if r >= 3:
            for c in range(width):
                light[c + 2] -= image[r - 3, c]
                expected[c + 2] -= old[r - 3, c]
        if r < 0:
            continue
        for c in range(width):
            all_light = light[c] + light[c + 1] + light[c + 2] + light[c + 3] + light[c + 4]
            at_rest = expected[c] + expected[c + 1] + expected[c + 2] + expected[c + 3] + expected[c + 4]
            floor = MIN_SHARE / 25.0 * at_rest
            at_rest *= level
            excess = all_light - at_rest
            clear_of_noise = excess * excess > limit2_per_photon * at_rest
            # What has stayed up is followed all the way down to the noise.
            above = (excess > 0.0) & (clear_of_noise | (up[r, c] > patience))
            count = up[r, c] + 1 if above else 0
            q = down if above | clear_of_noise else rate
            now = max(rest[r, c] + q * (image[r, c] * to_rest - rest[r, c]), floor)
            rest[r, c] = rest[r, c] if above & (count <= patience) else now
            up[r, c] = count
