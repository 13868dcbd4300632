"""The range of calcium channels that a network is trained on, and one random draw for every sample."""

import torch
from pydantic import Field
from torch import Tensor

from train.calcium_scene import CalciumScene
from train.random import Random
from train.ranges import Fraction, Frames, Range, Ranges
from train.scene import Scene


class CalciumScenes(Ranges):
    """Ranges (low, high) that calcium channels are drawn from, and the shares of samples that are special."""

    tethered: Fraction = Field(0.5, description="share of samples with an indicator on the channel itself")
    rest: Range = Field((15.0, 300.0), description="cytosolic F0, photo-electrons per pixel; log-uniform")
    tethered_rest: Range = Field((1.0, 20.0), description="background of tethered indicators; log-uniform")
    spot_photons: Range = Field((50.0, 1000.0), description="resting tethered punctum a frame; log-uniform")
    rate: Range = Field(
        (0.003, 0.06), description="chance of a punctum at rest to open, per frame; log-uniform"
    )
    rise_frames: tuple[Frames, Frames] = Field((1, 4), description="frames to the peak")
    tau_frames: Range = Field((3.0, 10.0), description="decay time of an event, frames; uniform")
    dff: Range = Field((0.1, 1.2), description="peak ΔF/F0 of a cytosolic event; uniform")
    tethered_dff: Range = Field((0.3, 4.0), description="peak ΔF/F0 of a tethered indicator; uniform")
    cloud_px: Range = Field((1.0, 4.0), description="σ of a cytosolic event's cloud, pixels; uniform")
    blinking: Fraction = Field(0.7, description="share of tethered samples whose indicator blinks")
    sparks: Fraction = Field(0.5, description="share of samples with sparks away from puncta")
    waves: Fraction = Field(0.3, description="share of samples with waves")
    wave_dff: Range = Field((0.3, 2.0), description="ΔF/F0 of a wave; log-uniform")
    wave_width_px: Range = Field((15.0, 60.0), description="width of a wave, pixels; log-uniform")
    global_waves: Fraction = Field(0.3, description="share of these waves that fill the image at once")
    flicker: Fraction = Field(0.4, description="share of samples whose lamp flickers by up to 6 %")
    bleaching: Fraction = Field(0.5, description="share of samples whose indicator bleaches")
    bleed: Fraction = Field(0.35, description="share of samples with up to 5 % of the PIEZO1 light")
    structures: Fraction = Field(0.5, description="share of samples with static bright structures")
    shift_px: Range = Field((0.05, 0.3), description="sd of the residual shift per axis, at most 0.7 px")

    def draw(self, scene: Scene, random: Random) -> CalciumScene:
        """Draw a calcium channel for every sample of a scene."""
        column = (scene.n, 1)

        def uniform(low: float, high: float) -> Tensor:
            return random.uniform(column, low, high)

        def log_uniform(bounds: tuple[float, float]) -> Tensor:
            return random.log_uniform(column, *bounds)

        def share(p: float) -> Tensor:
            return random.chance(column, p)

        def constant(value: float) -> Tensor:
            return torch.full(column, value, device=random.device)

        tethered = share(self.tethered)
        blinks = share(self.blinking)
        everywhere = share(self.global_waves)
        shift = random.normal((scene.n, 2)) * uniform(*self.shift_px)
        (dff_low, dff_high), (spot_low, spot_high) = self.dff, self.tethered_dff
        return CalciumScene(
            tethered=tethered,
            rest=torch.where(tethered, log_uniform(self.tethered_rest), log_uniform(self.rest)),
            spot_photons=log_uniform(self.spot_photons),
            spot_sd_between=uniform(0.1, 0.5),
            spot_sigma_px=scene.sigma_px.mean(1, keepdim=True) * uniform(0.85, 1.2),
            off_probability=torch.where(blinks, uniform(0.0, 0.3), 0.0),
            on_probability=torch.where(blinks, uniform(0.1, 1.0), 1.0),
            shift_px=shift.clamp(-0.7, 0.7),
            rate=log_uniform(self.rate),
            rise_frames=random.uniform(column, self.rise_frames[0], self.rise_frames[1] + 1).floor(),
            tau_low=constant(self.tau_frames[0]),
            tau_high=constant(self.tau_frames[1]),
            dff_low=torch.where(tethered, constant(spot_low), dff_low),
            dff_high=torch.where(tethered, constant(spot_high), dff_high),
            cloud_low_px=constant(self.cloud_px[0]),
            cloud_high_px=constant(self.cloud_px[1]),
            spark_rate=torch.where(share(self.sparks), log_uniform((5e-6, 6e-5)), 0.0),
            sparks_beside=uniform(0.2, 0.8),
            wave_rate=torch.where(share(self.waves), constant(0.2), 0.0),
            wave_dff=log_uniform(self.wave_dff),
            wave_width_px=log_uniform(self.wave_width_px) * torch.where(everywhere, 6.0, 1.0),
            wave_speed_px=log_uniform((0.5, 8.0)) * torch.where(everywhere, 6.0, 1.0),
            lamp_sd=torch.where(share(self.flicker), uniform(0.0, 0.06), 0.0),
            bleach_life=torch.where(share(self.bleaching), log_uniform((50.0, 2000.0)), torch.inf),
            bleed=torch.where(share(self.bleed), uniform(0.0, 0.05), 0.0),
            structures=torch.where(share(self.structures), uniform(1.0, 12.0), 0.0),
        )
