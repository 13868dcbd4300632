"""What the calcium channel of a batch of samples is made of: one value a sample, as in `train.scene`."""

import math
from dataclasses import dataclass

from torch import Tensor

# Decay times until a source is at rest again, at a hundredth of the peak, and may open.
TAIL = math.log(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalciumScene:
    """Calcium in B samples, float32 tensors of shape (B, 1) unless said otherwise.

    Duration and amplitude of the transients, rates and sizes are assumptions: no measured values were
    found.

    Attributes
    ----------
    tethered
        True for an indicator on the channel itself (JF646-BAPTA): a spot at every punctum that
        brightens. False for a cytosolic one: a cloud around the open channel.
    rest
        Resting level F0 per pixel in photo-electrons; of the tethered kind the dim background. Its
        gradient, blobs and texture follow the PIEZO1 scene's, elsewhere.
    spot_photons, spot_sd_between, spot_sigma_px
        Tethered: mean resting photo-electrons of a spot per frame, standard deviation of their
        logarithm between puncta, and the PSF's standard deviation in this channel.
    off_probability, on_probability
        Tethered: blinking of the indicator per frame.
    shift_px
        What registration left of the shift of this channel in x and y, (B, 2).
    rate
        Chance of a punctum at rest to open, per frame.
    rise_frames, tau_low, tau_high, dff_low, dff_high
        An event rises linearly within whole frames to a peak ΔF/F0 and decays exponentially; its decay
        time in frames and its peak are uniform in these ranges.
    cloud_low_px, cloud_high_px
        Cytosolic: standard deviation of an event's Gaussian cloud, uniform.
    spark_rate, sparks_beside
        Events away from puncta, per pixel and frame; the share of them 3–6 px beside a punctum.
    wave_rate, wave_dff, wave_width_px, wave_speed_px
        Chance per frame that a wave starts where none runs; its ΔF/F0, width, and pixels per frame.
    lamp_sd, bleach_life
        Relative standard deviation of the lamp between frames; frames until 1/e of the indicator is left.
    bleed
        Share of the PIEZO1 channel's light that leaks in.
    structures
        Mean number of static bright structures in the image; half of them at or beside puncta.
    """

    tethered: Tensor
    rest: Tensor
    spot_photons: Tensor
    spot_sd_between: Tensor
    spot_sigma_px: Tensor
    off_probability: Tensor
    on_probability: Tensor
    shift_px: Tensor
    rate: Tensor
    rise_frames: Tensor
    tau_low: Tensor
    tau_high: Tensor
    dff_low: Tensor
    dff_high: Tensor
    cloud_low_px: Tensor
    cloud_high_px: Tensor
    spark_rate: Tensor
    sparks_beside: Tensor
    wave_rate: Tensor
    wave_dff: Tensor
    wave_width_px: Tensor
    wave_speed_px: Tensor
    lamp_sd: Tensor
    bleach_life: Tensor
    bleed: Tensor
    structures: Tensor

    @property
    def mean_busy_frames(self) -> Tensor:
        """Mean frames from an onset until the source may open again (B, 1); they are whole, hence the ½."""
        return self.rise_frames + (self.tau_low + self.tau_high) / 2 * TAIL - 0.5
