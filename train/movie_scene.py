"""From the parameters of a movie to a scene and cameras of the simulator: one sample, two channels."""

import math

import torch
from torch import Tensor

from train.calcium_scene import CalciumScene
from train.random import Random
from train.scene import Scene
from train.sensor import HOT_PIXEL_E, Sensor
from train.simulation_config import SimulationConfig


def scene_of(config: SimulationConfig) -> Scene:
    """The sample of a movie; light in photo-electrons, lengths in pixels, times in frames."""
    per_frame = config.interval_s / (config.pixel_size_nm / 1000)  # µm/s in pixels per frame
    height, width = config.image_size
    stretch = math.sqrt(config.psf_ellipticity)

    def step_px(diffusion_um2_s: float) -> float:
        return math.sqrt(2 * diffusion_um2_s * config.interval_s) * 1000 / config.pixel_size_nm

    return Scene(
        size=config.image_size,
        density=_row(config.mean_puncta / (height * width)),
        mobile=_row(config.mobile_fraction),
        confined=_row(config.confined_fraction),
        directed=_row(config.directed_fraction),
        step_px=_row(step_px(config.diffusion_mobile_um2_s)),
        slow_step_px=_row(step_px(config.diffusion_slow_um2_s)),
        confinement_px=_row(config.confinement_nm / config.pixel_size_nm),
        speed_px=_row(config.speed_um_s * per_frame),
        unrelated=torch.tensor([[False]]),
        drift_px=_row(*(nm_s / 1000 * per_frame for nm_s in config.drift_nm_s)),
        photons=_row(config.photons),
        photons_sd_between=_row(config.photons_sd_between),
        photons_sd_within=_row(config.photons_sd_within),
        off_probability=_row(config.off_probability),
        on_probability=_row(config.on_probability),
        mean_life=_row(config.mean_life_frames),
        sigma_px=_row(config.psf_sigma_px * stretch, config.psf_sigma_px / stretch),
        airy=torch.tensor([[config.psf_type == "airy"]]),
        halo=_row(config.halo_fraction),
        halo_width=_row(config.halo_width),
        background=_row(config.background_photons),
        gradient=_row(config.background_gradient),
        blobs=_row(config.background_blobs),
        texture=_row(config.background_texture),
    )


def calcium_of(config: SimulationConfig) -> CalciumScene:
    """The calcium channel of a movie."""
    pixel_um, interval_s = config.pixel_size_nm / 1000, config.interval_s
    bleach_s = config.calcium_bleach_s
    return CalciumScene(
        tethered=torch.tensor([[config.indicator == "tethered"]]),
        rest=_row(config.calcium_rest_photons),
        spot_photons=_row(config.spot_photons),
        spot_sd_between=_row(config.spot_photons_sd),
        spot_sigma_px=_row(config.calcium_sigma_nm / config.pixel_size_nm),
        off_probability=_row(config.indicator_off_probability),
        on_probability=_row(config.indicator_on_probability),
        shift_px=_row(*(nm / config.pixel_size_nm for nm in config.channel2_shift_nm)),
        rate=_row(_chance(config.event_rate_hz * interval_s)),
        rise_frames=_row(config.event_rise_frames),
        tau_low=_row(config.event_tau_min_frames),
        tau_high=_row(config.event_tau_max_frames),
        dff_low=_row(config.dff_min),
        dff_high=_row(config.dff_max),
        cloud_low_px=_row(config.cloud_sigma_min_px),
        cloud_high_px=_row(config.cloud_sigma_max_px),
        spark_rate=_row(config.spark_rate_um2_s * pixel_um**2 * interval_s),
        sparks_beside=_row(config.sparks_beside),
        wave_rate=_row(_chance(config.wave_rate_hz * interval_s)),
        wave_dff=_row(config.wave_dff),
        wave_width_px=_row(config.wave_width_um / pixel_um),
        wave_speed_px=_row(config.wave_speed_um_s * interval_s / pixel_um),
        lamp_sd=_row(config.lamp_flicker),
        bleach_life=_row(math.inf if bleach_s is None else bleach_s / interval_s),
        bleed=_row(config.bleed_through),
        structures=_row(config.structures),
    )


def cameras_of(config: SimulationConfig, random: Random) -> Sensor:
    """The cameras of both channels, PIEZO1 and calcium: of one make, each with pixels of its own."""
    camera = config.camera_model()
    channels, maps = (2, 1, 1), (2, *config.image_size)
    noise = torch.full(channels, float(camera.read_noise_e))
    if config.read_noise_spread:
        noise = noise * torch.exp(config.read_noise_spread * random.normal(maps))
    hot = torch.zeros(channels)
    if config.hot_pixel_fraction:
        hot = random.chance(maps, config.hot_pixel_fraction) * random.log_uniform(maps, *HOT_PIXEL_E)
    return Sensor(
        offset=torch.full(channels, float(camera.offset)),
        e_per_adu=torch.full(channels, float(camera.e_per_adu)),
        read_noise_e=noise,
        em_gain=torch.full(channels, camera.em_gain),
        hot_e=hot,
        told_gain=torch.ones(channels),
        floor=torch.zeros(channels),
    )


def _chance(expected: float) -> float:
    """Chance of at least one of a Poisson number of events."""
    return -math.expm1(-expected)


def _row(*values: float) -> Tensor:
    """Values of the only sample."""
    return torch.tensor([values], dtype=torch.float32)
