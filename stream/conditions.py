"""The recording's conditions: what the configuration says, else the file, else a stated assumption."""

from dataclasses import dataclass

from acquire.frame import SourceInfo
from acquire.source import ASSUMED_INTERVAL_S
from stream.config import ConfigError, RunConfig


@dataclass(frozen=True, slots=True)
class Conditions:
    """Scales of a recording; `assumed` says in sentences what neither configuration nor file told."""

    pixel_size_nm: float
    interval_s: float
    psf_sigma_px: float
    assumed: tuple[str, ...]


def resolve_conditions(config: RunConfig, info: SourceInfo) -> Conditions:
    """Conditions of a run on the announced source.

    Raises
    ------
    ConfigError
        If the pixel size is neither configured nor recorded: nothing can be said in nm without it.
    """
    pixel_size_nm = config.optics.pixel_size_nm or info.pixel_size_nm
    if pixel_size_nm is None:
        raise ConfigError(
            f"{info.name} does not record its pixel size: "
            "give it with --pixel-size-nm or optics.pixel_size_nm"
        )
    assumed = []
    interval_s = config.source.interval_ms / 1e3 if config.source.interval_ms else info.interval_s
    if interval_s is None:
        interval_s = ASSUMED_INTERVAL_S
        assumed.append(
            f"the frame interval is not recorded: {interval_s * 1e3:.0f} ms assumed; "
            "give it with --interval-ms, diffusion coefficients and durations depend on it"
        )
    if info.shape[0] == 1:
        assumed.append("the source has one channel: the calcium stage is off")
    return Conditions(pixel_size_nm, interval_s, config.optics.psf_sigma_nm / pixel_size_nm, tuple(assumed))
