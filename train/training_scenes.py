"""The range of scenes that a network is trained on, and one random draw from it for every sample."""

import torch
from pydantic import Field
from torch import Tensor

from train.calcium_scenes import CalciumScenes
from train.random import Random
from train.ranges import Fraction, NotNegative, Positive, Range, Ranges
from train.scene import Scene
from train.sensor import HOT_PIXEL_E, Sensor

OFFSET = 100.0  # counts; no matter which, as it is subtracted again


class TrainingScenes(Ranges):
    """Ranges (low, high) that the samples are drawn from, and the shares of samples that are special."""

    pixel_size_nm: Positive = Field(110.0, description="converts densities, nm")
    puncta_per_um2: Range = Field((0.03, 2.8), description="density; its square root is uniform")
    photons: Range = Field((180.0, 5000.0), description="photo-electrons a frame; log-uniform")
    photons_sd: tuple[NotNegative, NotNegative] = Field(
        (0.15, 0.3), description="sd of ln photons between puncta"
    )
    sigma_px: Range = Field((1.0, 1.8), description="σ of the PSF, pixels")
    odd_sigma_px: Range = Field((0.7, 2.1), description="σ of the PSF in odd samples, pixels")
    odd_psf: Fraction = Field(0.15, description="share of samples whose σ is drawn from the wider range")
    airy: Fraction = Field(0.06, description="share of samples with an Airy disk")
    elliptical: Fraction = Field(0.08, description="share of samples with σx ≠ σy (up to 1.3 : 1)")
    halo: Fraction = Field(0.08, description="share of samples with up to 30 % of the light in a halo")
    background: Range = Field((1.2, 150.0), description="photo-electrons per pixel; log-uniform")
    static: Fraction = Field(0.28, description="share of samples in which nothing moves")
    unrelated: Fraction = Field(0.15, description="share of samples whose frames have nothing in common")
    blinking: Fraction = Field(0.4, description="share of samples that blink")
    step_px: Range = Field((0.15, 1.5), description="sd of displacement per frame; log-uniform")
    emccd: Fraction = Field(0.25, description="share of samples taken with electron multiplication")
    wrong_gain: Fraction = Field(0.15, description="share of samples whose gain is up to 40 % off")
    hot_pixels: Fraction = Field(0.2, description="share of samples with hot pixels")
    cut: Fraction = Field(0.06, description="share of samples with all below the camera's offset cut off")
    lone_frames: Fraction = Field(0.15, description="share of windows of a single frame")
    missing_frames: Fraction = Field(0.15, description="share of windows with some frames missing")
    calcium: CalciumScenes | None = Field(None, description="the calcium channel; null: PIEZO1 only")

    def scene(self, n: int, size: tuple[int, int], random: Random) -> Scene:
        """Draw `n` samples."""
        column = (n, 1)

        def uniform(low: float, high: float) -> Tensor:
            return random.uniform(column, low, high)

        def share(p: float) -> Tensor:
            return random.chance(column, p)

        low, high = (density**0.5 for density in self.puncta_per_um2)
        sigma = torch.where(share(self.odd_psf), uniform(*self.odd_sigma_px), uniform(*self.sigma_px))
        stretch = torch.where(share(self.elliptical), random.log_uniform(column, 1 / 1.3, 1.3), 1.0) ** 0.5
        moves = ~share(self.static)
        kinds = random.uniform((n, 3))
        kinds = kinds / kinds.sum(1, keepdim=True) * random.uniform(column, 0.3, 1.0)
        # In six of ten samples, all that moves diffuses.
        kinds = torch.where(share(0.6), torch.tensor([1.0, 0.0, 0.0], device=random.device), kinds)
        blinks = share(self.blinking)
        return Scene(
            size=size,
            density=uniform(low, high) ** 2 * (self.pixel_size_nm / 1000) ** 2,
            mobile=moves * kinds[:, :1],
            confined=moves * kinds[:, 1:2],
            directed=moves * kinds[:, 2:],
            step_px=random.log_uniform(column, *self.step_px),
            slow_step_px=torch.where(moves, random.log_uniform(column, 0.005, 0.15), 0.0),
            confinement_px=uniform(0.5, 3.0),
            speed_px=uniform(0.1, 1.0),
            unrelated=share(self.unrelated),
            drift_px=0.05 * random.normal((n, 2)) * share(0.3),
            photons=random.log_uniform(column, *self.photons),
            photons_sd_between=uniform(*self.photons_sd),
            photons_sd_within=torch.where(share(0.5), uniform(0.0, 0.15), 0.0),
            off_probability=torch.where(blinks, uniform(0.0, 0.5), 0.0),
            on_probability=torch.where(blinks, uniform(0.2, 1.0), 1.0),
            mean_life=random.log_uniform(column, 10.0, 1000.0),
            sigma_px=torch.cat([sigma * stretch, sigma / stretch], 1),
            airy=share(self.airy),
            halo=torch.where(share(self.halo), uniform(0.05, 0.3), 0.0),
            halo_width=uniform(2.0, 4.0),
            background=random.log_uniform(column, *self.background),
            gradient=uniform(0.0, 0.4),
            blobs=torch.where(share(0.5), uniform(0.0, 4.0), 0.0),
            texture=torch.where(share(0.4), uniform(0.0, 0.4), 0.0),
        )

    def sensor(self, n: int, size: tuple[int, int], random: Random) -> Sensor:
        """Draw the cameras of `n` samples."""
        column = (n, 1, 1)
        multiplies = random.chance(column, self.emccd)
        gain = random.uniform(column, 50.0, 300.0)
        noise = random.log_uniform(column, 0.8, 3.0)
        # Read noise of sCMOS pixels has a long tail.
        spread = torch.exp(0.25 * random.normal((n, *size)).clamp(-2, 4)) * ~multiplies + multiplies
        hot = random.chance((n, *size), 0.002 * random.uniform(column))
        hot &= random.chance(column, self.hot_pixels)
        wrong = random.chance(column, self.wrong_gain)
        return Sensor(
            offset=torch.full(column, OFFSET, device=random.device),
            e_per_adu=torch.where(
                multiplies, random.uniform(column, 3.0, 20.0), random.uniform(column, 0.3, 2.0)
            ),
            read_noise_e=torch.where(multiplies, 30.0, noise) * spread,
            em_gain=torch.where(multiplies, gain, 1.0),
            hot_e=hot * random.log_uniform((n, *size), *HOT_PIXEL_E),
            told_gain=torch.where(wrong, random.log_uniform(column, 1 / 1.4, 1.4), 1.0),
            floor=torch.where(random.chance(column, self.cut), OFFSET, 0.0),
        )

    def present(self, n: int, window: int, random: Random) -> Tensor:
        """Which frames of the windows are there, (B, T) of 1 and 0; the middle one always is."""
        lone = random.chance((n, 1), self.lone_frames)
        gaps = random.chance((n, 1), self.missing_frames) & random.chance((n, window), 0.5)
        missing = lone | gaps
        missing[:, window // 2] = False
        return (~missing).float()
