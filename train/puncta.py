"""The sample: puncta that diffuse, blink, bleach and let calcium in, frame by frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.simulation_config import SimulationConfig

Array = NDArray[np.float64]

SUB_STEPS = 4  # positions within an exposure: motion blur
# The puncta live in a field this much wider than the image on each side, so that they cross its borders.
MARGIN_PX = 10.0
END_FRACTION = 0.1  # an event ends where ΔF/F0 falls under this fraction of its peak
TAIL_FRACTION = 0.01  # below this fraction the channel is at rest again and may open anew
AT_REST = -1

PUNCTUM = np.dtype(
    [
        ("track_id", np.int64),
        ("x_px", np.float64),
        ("y_px", np.float64),
        ("step_px", np.float64),  # standard deviation of the displacement per frame and axis
        ("photons", np.float64),  # mean per frame while on
        ("is_on", np.bool_),
        ("bleached", np.bool_),
        ("age", np.int64),  # frames since the onset of the calcium event, AT_REST where there is none
        ("dff_peak", np.float64),
        ("tau_frames", np.float64),
        ("cloud_sigma_px", np.float64),
    ]
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The puncta during one exposure; N of them, some dark or outside the image.

    Attributes
    ----------
    track_id
        Emitter, int64 (N,); never used again after it has bleached.
    path_px
        Positions x, y within the exposure in pixels, (2, SUB_STEPS, N); their mean is the position.
    photons
        Photo-electrons in this frame (N,), 0 where dark.
    dff
        ΔF/F0 at the punctum's centre due to its own channel (N,).
    cloud_sigma_px
        Standard deviation of its calcium cloud (N,).
    is_open
        Whether a calcium event is on (N,).
    peaks
        Rows whose event peaks now, and of these `onset` and `end` as frames from now.
    """

    track_id: NDArray[np.int64]
    path_px: Array
    photons: Array
    dff: Array
    cloud_sigma_px: Array
    is_open: NDArray[np.bool_]
    peaks: NDArray[np.intp]
    onset: NDArray[np.int64]
    end: NDArray[np.int64]


class Population:
    """All puncta of a movie; `step` moves them on by a frame."""

    def __init__(self, config: SimulationConfig, rng: np.random.Generator) -> None:
        self._config = config
        self._rng = rng
        height, width = config.image_size
        self._low = np.full(2, -0.5 - MARGIN_PX)
        self._high = np.array([width, height]) - 0.5 + MARGIN_PX
        area_ratio = np.prod(self._high - self._low) / (height * width)
        self._next_id = 0
        self._puncta = self._born(rng.poisson(config.mean_puncta * area_ratio))

    def step(self) -> Snapshot:
        """Advance by one frame and give the puncta during its exposure."""
        self._open_and_close()
        self._blink_and_bleach()
        path = self._move()
        p, rng = self._puncta, self._rng
        sd = self._config.photons_sd_within
        photons = p["photons"] * np.exp(rng.normal(-(sd**2) / 2, sd, len(p)))
        rise, tau = self._config.event_rise_frames, p["tau_frames"]
        since_peak = p["age"] + 1 - rise
        dff = p["dff_peak"] * np.where(
            since_peak <= 0, (p["age"] + 1) / rise, np.exp(-np.maximum(since_peak, 0) / tau)
        )
        life = rise - 1 + np.floor(tau * np.log(1 / END_FRACTION)).astype(np.int64)
        peaks = np.flatnonzero(p["age"] == rise - 1)
        return Snapshot(
            track_id=p["track_id"].copy(),
            path_px=path,
            photons=np.where(p["is_on"] & ~p["bleached"], photons, 0.0),
            dff=dff,
            cloud_sigma_px=p["cloud_sigma_px"].copy(),
            is_open=(p["age"] != AT_REST) & (p["age"] <= life),
            peaks=peaks,
            onset=-p["age"][peaks],
            end=(life - p["age"])[peaks],
        )

    def _born(self, n: int) -> NDArray[np.void]:
        """Give `n` new puncta anywhere in the field."""
        config, rng = self._config, self._rng
        new = np.zeros(n, PUNCTUM)
        new["track_id"] = self._next_id + np.arange(n)
        self._next_id += n
        new["x_px"], new["y_px"] = rng.uniform(self._low[:, None], self._high[:, None], (2, n))
        mobile = rng.random(n) < config.mobile_fraction
        diffusion = np.where(mobile, config.diffusion_mobile_um2_s, config.diffusion_slow_um2_s)
        new["step_px"] = np.sqrt(2 * diffusion * config.interval_s) * 1000 / config.pixel_size_nm
        sd = config.photons_sd_between
        new["photons"] = config.photons * np.exp(rng.normal(-(sd**2) / 2, sd, n))
        on_share = config.on_probability / (config.on_probability + config.off_probability)
        new["is_on"] = rng.random(n) < on_share
        new["age"] = AT_REST
        new["tau_frames"] = config.event_tau_max_frames
        return new

    def _blink_and_bleach(self) -> None:
        """Toggle the dye, bleach it, and replace what has bleached.

        A bleached punctum stays until its calcium event is over: the channel outlives its dye.
        """
        config, rng = self._config, self._rng
        p = self._puncta
        toggle = rng.random(len(p)) < np.where(p["is_on"], config.off_probability, config.on_probability)
        p["is_on"] ^= toggle
        bleaches = rng.random(len(p)) < -np.expm1(-1 / config.mean_life_frames)
        bleaches &= ~p["bleached"]
        p["bleached"] |= bleaches
        stays = ~p["bleached"] | (p["age"] != AT_REST)
        self._puncta = np.concatenate([p[stays], self._born(int(bleaches.sum()))])

    def _move(self) -> Array:
        """Brownian motion within the exposure, reflected at the field's borders."""
        p = self._puncta
        sd = p["step_px"] / np.sqrt(SUB_STEPS)
        path = np.cumsum(self._rng.normal(0.0, 1.0, (2, SUB_STEPS, len(p))) * sd, axis=1)
        path += np.stack([p["x_px"], p["y_px"]])[:, None, :]
        low, length = self._low[:, None, None], (self._high - self._low)[:, None, None]
        reflected: Array = low + length - np.abs((path - low) % (2 * length) - length)
        p["x_px"], p["y_px"] = reflected[:, -1]
        return reflected

    def _open_and_close(self) -> None:
        """Age the calcium events, end those that are over and begin new ones at living puncta."""
        config, rng = self._config, self._rng
        p = self._puncta
        running = p["age"] != AT_REST
        p["age"][running] += 1
        over = p["age"] - (config.event_rise_frames - 1) > p["tau_frames"] * np.log(1 / TAIL_FRACTION)
        p["age"][running & over] = AT_REST
        p["dff_peak"][running & over] = 0.0
        opens = rng.random(len(p)) < -np.expm1(-config.event_rate_hz * config.interval_s)
        rows = np.flatnonzero(opens & (p["age"] == AT_REST) & ~p["bleached"])
        p["age"][rows] = 0
        p["dff_peak"][rows] = rng.uniform(config.dff_min, config.dff_max, len(rows))
        p["tau_frames"][rows] = rng.uniform(
            config.event_tau_min_frames, config.event_tau_max_frames, len(rows)
        )
        p["cloud_sigma_px"][rows] = rng.uniform(
            config.cloud_sigma_min_px, config.cloud_sigma_max_px, len(rows)
        )
