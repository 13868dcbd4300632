"""What a batch of simulated samples is made of: one value a sample, in pixels, frames and photo-electrons."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Parameters of B samples, float32 tensors of shape (B, 1) unless said otherwise.

    Attributes
    ----------
    size
        Height and width of the images in pixels, the same for all.
    density
        Puncta per pixel, dark ones counted.
    mobile, confined, directed
        Fractions of the puncta that diffuse freely, within a disc, or with a velocity; the rest barely
        moves.
    step_px, slow_step_px
        Standard deviation of the displacement per frame and axis of those, and of the rest.
    confinement_px, speed_px
        Radius of the disc; displacement per frame.
    unrelated
        True where every frame shows puncta of its own (the extreme of blinking).
    drift_px
        Drift of the stage per frame in x and y, (B, 2).
    photons, photons_sd_between, photons_sd_within
        Mean photo-electrons of a punctum per frame; standard deviation of their logarithm between
        puncta, and from frame to frame.
    off_probability, on_probability, mean_life
        Blinking per frame, and frames until bleaching.
    sigma_px
        Standard deviation of the PSF in x and y, (B, 2), that of the best Gaussian for an Airy disk.
    airy
        True where the PSF is an Airy disk.
    halo, halo_width
        Fraction of the light in a wider Gaussian, and how many times wider.
    background, gradient, blobs, texture
        Level per pixel, relative rise from the centre to the edge, mean number of out-of-focus blobs, and
        relative amplitude of autofluorescence.
    """

    size: tuple[int, int]
    density: Tensor
    mobile: Tensor
    confined: Tensor
    directed: Tensor
    step_px: Tensor
    slow_step_px: Tensor
    confinement_px: Tensor
    speed_px: Tensor
    unrelated: Tensor
    drift_px: Tensor
    photons: Tensor
    photons_sd_between: Tensor
    photons_sd_within: Tensor
    off_probability: Tensor
    on_probability: Tensor
    mean_life: Tensor
    sigma_px: Tensor
    airy: Tensor
    halo: Tensor
    halo_width: Tensor
    background: Tensor
    gradient: Tensor
    blobs: Tensor
    texture: Tensor

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.density)
