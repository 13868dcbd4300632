"""The recording's conditions: what the configuration says, else the file, else a stated assumption."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquire.frame import SourceInfo
from acquire.registration import Registration, RegistrationError, load_registration
from acquire.source import ASSUMED_INTERVAL_S
from model.camera import Camera
from model.engines.base import SIGMA_LIMITS_PX
from stream.config import CameraConfig, ConfigError, RunConfig

MANY_SATURATED = 0.001
MANY_UNSEEN = 0.02  # a shift of a few pixels is no news


@dataclass(frozen=True, slots=True)
class Conditions:
    """Scales of a recording; `assumed` says in sentences what neither configuration nor file told.

    `registration` is where channel 1 lies in channel 2, None: in the same place, or there is no channel 2.
    """

    pixel_size_nm: float
    interval_s: float
    psf_sigma_px: float
    assumed: tuple[str, ...]
    registration: Registration | None = None


def resolve_conditions(config: RunConfig, info: SourceInfo) -> Conditions:
    """Conditions of a run on the announced source.

    Raises
    ------
    ConfigError
        If the pixel size is neither configured nor recorded (nothing can be said in nm without it), the
        PSF is impossibly narrow or wide in pixels, or the registration cannot be read or is for images of
        another size.
    """
    pixel_size_nm = config.optics.pixel_size_nm or info.pixel_size_nm
    if pixel_size_nm is None:
        raise ConfigError(
            f"{info.name} does not record its pixel size: "
            "give it with --pixel-size-nm, or as optics.pixel_size_nm in the YAML"
        )
    psf_sigma_px = config.optics.psf_sigma_nm / pixel_size_nm
    low, high = SIGMA_LIMITS_PX
    if not low <= psf_sigma_px <= high:
        raise ConfigError(
            f"optics.psf_sigma_nm = {config.optics.psf_sigma_nm:g} at a pixel size of {pixel_size_nm:g} nm "
            f"is {psf_sigma_px:.3g} px, which no PSF is ({low:g} to {high:g} px): check both, they are in nm"
        )
    interval_s = config.source.interval_ms / 1e3 if config.source.interval_ms else info.interval_s
    registration = _registration(config, info)
    assumed = [*_assumptions(config, info, interval_s), *_doubts(registration)]
    return Conditions(
        pixel_size_nm, interval_s or ASSUMED_INTERVAL_S, psf_sigma_px, tuple(assumed), registration
    )


def _registration(config: RunConfig, info: SourceInfo) -> Registration | None:
    """The registration that is asked for, if there is a second channel to register."""
    path = config.channels.registration
    if path is None or info.shape[0] == 1:
        return None
    try:
        registration = load_registration(path)
    except RegistrationError as error:
        raise ConfigError(f"channels.registration: {error}") from error
    if registration.image_size != info.shape[1:]:
        sizes = [f"{width}×{height}" for height, width in (registration.image_size, info.shape[1:])]
        raise ConfigError(
            f"channels.registration: {path} is for images of {sizes[0]} pixels, those of {info.name} have "
            f"{sizes[1]}: register beads in the same region of the camera"
        )
    return registration


def _doubts(registration: Registration | None) -> Iterator[str]:
    """What a user should know of a registration."""
    if registration is None:
        return
    for caution in registration.cautions:
        yield f"the registration was forced: {caution}"
    unseen = 1 - registration.seen_share()
    if unseen > MANY_UNSEEN:
        yield f"{unseen:.0%} of the PIEZO1 image lies outside the calcium image: nothing is known there"


def _assumptions(config: RunConfig, info: SourceInfo, interval_s: float | None) -> Iterator[str]:
    """What a user should know to be assumed or switched off."""
    if interval_s is None:
        yield (
            f"the frame interval is not recorded: {ASSUMED_INTERVAL_S * 1e3:.0f} ms assumed; "
            "give it with --interval-ms, diffusion coefficients and durations depend on it"
        )
    camera, optics = config.camera, config.optics
    defaults = []
    if camera.e_per_adu_map is None and "e_per_adu" not in camera.model_fields_set:
        defaults.append(f"camera.e_per_adu = {camera.e_per_adu:g}")
    if camera.read_noise_map is None and "read_noise_e" not in camera.model_fields_set:
        defaults.append(f"camera.read_noise_e = {camera.read_noise_e:g}")
    if "psf_sigma_nm" not in optics.model_fields_set:
        defaults.append(f"optics.psf_sigma_nm = {optics.psf_sigma_nm:g}")
    if defaults:
        yield f"not given, so assumed: {', '.join(defaults)}"
    if info.shape[0] == 1:
        yield "the source has one channel: the calcium stage is off"
    elif not config.calcium.enabled:
        yield "the calcium stage is switched off (calcium.enabled)"
    source = config.source
    if source.kind == "recording" and source.delivery == "live" and source.speed == "max":
        yield "a recording is delivered live at full speed: frames that find the analysis busy are lost"


def check_camera(camera: CameraConfig, info: SourceInfo) -> None:
    """Try the camera's maps against the source's images.

    Raises
    ------
    ConfigError
        If a map cannot be read or does not fit.
    """
    camera.camera(np.zeros(info.shape[1:], np.uint16), info.bit_depth)


def oddities(first_image: NDArray[np.uint16], camera: Camera, bit_depth: int) -> Iterator[str]:
    """What looks wrong in the first PIEZO1 image (H, W), in sentences."""
    dark = float(np.mean(first_image < camera.offset))
    if dark > 0.5:
        yield (
            f"{dark:.0%} of the pixels of the first frame are darker than the camera's offset: "
            "check camera.offset"
        )
    saturated = float(np.mean(first_image >= 2**bit_depth - 1))
    if saturated > MANY_SATURATED:
        yield f"{saturated:.1%} of the pixels of the first frame are saturated: their puncta cannot be fitted"
