"""Registers the two channels of a recording: by beads, or by puncta that both channels show."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from acquire.frame import Frame, Source
from acquire.registration import Registration, RegistrationError
from acquire.registration_fit import Pairs, register_spots
from acquire.spots import Spots, joined
from model.camera import Camera
from model.crowd import locate_puncta
from model.engines.scale import scaled_photons, scaled_read_variance
from model.mle_fit import N_PARAMETERS, PHOTONS, X, Y
from stream.conditions import resolve_conditions
from stream.config import RunConfig
from stream.open_source import open_configured
from stream.record.provenance import timestamp

Kind = Literal["beads", "puncta"]
Images = NDArray[np.float32]
MAX_FRAMES = 100  # more tell nothing new of beads, nor of puncta that rest
MAX_SPOTS = 10_000  # in all frames; they are matched within seconds, and tell a map to .03 px
MAX_SD_PX = 0.3  # spots whose position is known less well are not beads, or not worth having
SATURATED_REACH = 3.0  # σ around saturated pixels in which spots are not trusted


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A registration, the pairs of spots that it was found from, and images in counts that show them.

    The images (2, H, W) are the mean of all frames for beads, and the first frame for puncta.
    """

    registration: Registration
    pairs: Pairs
    images: Images


def register(
    config: RunConfig,
    kind: Kind = "beads",
    *,
    force: bool = False,
    report: Callable[[str], None] = lambda step: None,
) -> Registered:
    """Register the channels of the recording that a configuration names.

    Spots are found and fitted in each channel by the wavelet method, matched and fitted by
    `acquire.registration_fit`.

    Parameters
    ----------
    config
        Source, channels, camera and optics, as for a run.
    kind
        beads: they rest, so all frames (at most 100, spread over the recording) are one image. puncta: each
        frame is searched by itself, and those that both channels show in it are used.
    force
        Give a registration that should not be used, its `cautions` say why.
    report
        Called with what is being done.

    Raises
    ------
    SourceError
        If the recording cannot be read; a `RegistrationError` if its channels can't be registered, or what
        was found should not be used and is not forced.
    ConfigError
        If the configuration does not suit the recording.
    """
    unregistered = config.channels.model_copy(update={"registration": None})
    config = config.model_copy(update={"channels": unregistered})
    source = open_configured(config)
    try:
        info = source.info
        if info.shape[0] != 2:
            raise RegistrationError(
                f"{info.name} has one channel: name the layout, e.g. --layout side-by-side, or a second file"
            )
        conditions = resolve_conditions(config, info)
        report("localizing")
        frames = _spread(source)
        first = next(frames, None)
        if first is None:
            raise RegistrationError(f"{info.name} gave no image")
        camera, _ = config.camera.camera(first.pixels[0], info.bit_depth)
        search = _Search(camera, conditions.psf_sigma_px, config.engine.wavelet_threshold, info.bit_depth)
        collected = (_Beads if kind == "beads" else _Puncta)(search, first)
        for frame in frames:
            collected.add(frame)
        one, two = collected.spots(0), collected.spots(1)
    finally:
        source.close()
    report("matching")
    try:
        found, pairs = register_spots(one, two, (info.shape[1], info.shape[2]))
    except RegistrationError as error:
        raise RegistrationError(f"{info.name}: {error}") from error
    registration = replace(found, source=info.name, made=timestamp(), pixel_size_nm=conditions.pixel_size_nm)
    if registration.cautions and not force:
        raise RegistrationError(f"{info.name}: {registration.cautions[0]} (--force writes it nevertheless)")
    return Registered(registration, pairs, collected.images)


def _spread(source: Source) -> Iterator[Frame]:
    """At most `MAX_FRAMES` frames, spread evenly over a recording; the first ones of a camera that images."""
    step = math.ceil((source.info.n_frames or 1) / MAX_FRAMES)
    wanted = (frame for number, frame in enumerate(source.frames()) if number % step == 0)
    return islice(wanted, MAX_FRAMES)


class _Search:
    """Finds spots in images of one camera by the wavelet method."""

    def __init__(self, camera: Camera, psf_sigma_px: float, threshold: float, bit_depth: int) -> None:
        self.camera, self._sigma, self._threshold = camera, psf_sigma_px, threshold
        self.saturated = 2**bit_depth - 1

    def find(self, light: Images, n_frames: int, blown: NDArray[np.bool_], seq: int) -> Spots:
        """Spots of the sum of so many frames (H, W), less those at saturated (`blown`) pixels."""
        variance = scaled_read_variance(self.camera, light.shape) * np.float32(n_frames)
        fits = locate_puncta(light, variance, self._sigma, self._threshold)
        height, width = light.shape
        x, y = fits[:, X], fits[:, Y]
        sd = np.sqrt((fits[:, N_PARAMETERS + X] ** 2 + fits[:, N_PARAMETERS + Y] ** 2) / 2)
        known = (sd < MAX_SD_PX) & (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
        if blown.any():
            near = maximum_filter(blown, 2 * math.ceil(SATURATED_REACH * self._sigma) + 1)
            known[known] &= ~near[np.rint(y[known]).astype(np.intp), np.rint(x[known]).astype(np.intp)]
        frame = np.full(int(known.sum()), seq, np.int64)
        return Spots(x[known], y[known], sd[known], fits[known, PHOTONS], frame)


class _Beads:
    """Spots in the sum of all frames, whose photons are Poisson as those of one frame are."""

    def __init__(self, search: _Search, first: Frame) -> None:
        self._search, self._n = search, 0
        self._light, self._counts = np.zeros(first.pixels.shape), np.zeros(first.pixels.shape)
        self._blown = np.zeros(first.pixels.shape, np.bool_)
        self.add(first)

    def add(self, frame: Frame) -> None:
        """Take a frame."""
        self._n += 1
        self._counts += frame.pixels
        self._light += scaled_photons(self._search.camera, frame.pixels)
        self._blown |= frame.pixels >= self._search.saturated

    def spots(self, channel: int) -> Spots:
        """Spots of a channel."""
        light = self._light[channel].astype(np.float32)
        return self._search.find(light, self._n, self._blown[channel], 0)

    @property
    def images(self) -> Images:
        """Mean of the frames."""
        return np.asarray(self._counts / self._n, np.float32)


class _Puncta:
    """Spots of each frame by itself."""

    def __init__(self, search: _Search, first: Frame) -> None:
        self._search = search
        self._found: tuple[list[Spots], list[Spots]] = ([], [])
        self.images = first.pixels.astype(np.float32)
        self.add(first)

    def add(self, frame: Frame) -> None:
        """Take a frame."""
        for counts, found in zip(frame.pixels, self._found, strict=True):
            light = scaled_photons(self._search.camera, counts)
            found.append(self._search.find(light, 1, counts >= self._search.saturated, frame.seq))

    def spots(self, channel: int) -> Spots:
        """Spots of a channel, of as many frames as are worth the time."""
        n_spots = max(sum(map(len, found)) for found in self._found)
        return joined(self._found[channel][:: math.ceil(n_spots / MAX_SPOTS) or 1])
