"""The `network` engine: a trained network on the CPU, without torch."""

from collections import deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import decode
from model.baseline import Baseline
from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines.base import ModelError, RawFrame
from model.engines.runtimes import Array, Backend, make_runtime, zero_state
from model.engines.scale import Image, scaled_photons, scaled_read_variance
from model.localizations import Localizations
from model.maps import normalize

Answers = list[tuple[int, Localizations]]
NO_FRAME = (0, 0, 0)  # shape before the first frame


class NetworkEngine:
    """Localizes with a trained network that sees a short window of frames; deterministic.

    Answers come `window // 2` frames late. What is missing at either end of a movie, in a gap of `seq` or
    at a change of shape counts as absent, as in training: what is owed is answered first, and the window
    begins anew. The calcium baseline is slow and outlives gaps. Images are mirrored at the right and the
    bottom up to the network's multiple (a repeated border would be stripes, which no camera gives), and
    only puncta inside the image are given.

    The network measures the PSF's width itself. It has calcium probabilities where it was trained for
    them and the frames have a calcium channel, else they are NaN.

    Parameters
    ----------
    camera
        Camera of both channels. Maps must have the shape of the frames' images.
    psf_sigma_px
        Standard deviation of the PSF in pixels; only compared with the range trained on.
    model
        ONNX file with its model card beside it; None takes the network that ships.
    threshold
        Detection threshold on the probability; None takes the model's own.
    why
        Why this engine was chosen, for its description.
    backend
        Library that runs it: "openvino", "onnxruntime", or "auto", the first of them that works.

    Raises
    ------
    ModelError
        If the model or the backend cannot be used or the threshold makes no sense; from `step`, if a
        camera map does not fit the image.
    """

    def __init__(
        self,
        camera: Camera,
        psf_sigma_px: float,
        model: Path | None = None,
        threshold: float | None = None,
        why: str = "as configured",
        backend: Backend = "auto",
    ) -> None:
        path = model or SHIPPED_MODEL
        graph, card = read_model(path)
        self._threshold = card.threshold if threshold is None else threshold
        if not decode.MIN_PROBABILITY <= self._threshold < 1:
            raise ModelError(
                f"engine.threshold is {self._threshold:g}; it must be at least {decode.MIN_PROBABILITY:g} "
                f"and below 1, {path.name} was tuned with {card.threshold:g}"
            )
        try:
            self._runtime, passed_over = make_runtime(backend, graph, card)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
        self._camera = camera
        self._card = card
        self._description = (
            f"{path.stem} network, {card.window} frames, threshold {self._threshold:g}, "
            f"by {self._runtime.description} ({'; '.join([why, *passed_over])})"
        )
        low, high = card.optics.sigma_px
        if not low <= psf_sigma_px <= high:
            self._description += (
                f"; the PSF's σ of {psf_sigma_px:.2f} px lies outside the {low:g} to {high:g} px it was "
                "trained on: check its answers against the wavelet engine"
            )
        decode.warm_up()
        self._last_seq = -1
        self._begin(NO_FRAME)

    @property
    def description(self) -> str:
        """Model, backend, device and why it was chosen."""
        return self._description

    def step(self, frame: RawFrame) -> Answers:
        """Take a frame; answer for the one `window // 2` before it."""
        shape = frame.pixels.shape
        answers: Answers = []
        if shape != self._shape or frame.seq != self._last_seq + 1:
            variance = scaled_read_variance(self._camera, shape[1:])
            answers = self._answer_owed()
            if shape != self._shape:
                self._baseline = Baseline(self._card.baseline_rate)
                self._variance = variance
            self._begin(shape)
        image = self._image(frame.pixels)
        self._owed.append(frame.seq)
        self._last_seq = frame.seq
        return answers + self._advance(image, 1.0)

    def flush(self) -> Answers:
        """Answer for the last frames."""
        answers = self._answer_owed()
        self._begin(NO_FRAME)
        return answers

    def _begin(self, shape: tuple[int, ...]) -> None:
        """Begin a window for frames of a shape (C, H, W)."""
        self._shape = shape
        multiple = self._card.multiple
        self._height, self._width = (-(-side // multiple) * multiple for side in shape[1:])
        self._state = zero_state(self._card, self._height, self._width)
        self._owed: deque[int] = deque()
        self._n_steps = 0

    def _answer_owed(self) -> Answers:
        absent = np.zeros((len(self._card.channels), self._height, self._width), np.float32)
        answers: Answers = []
        while self._owed:
            answers += self._advance(absent, 0.0)
        return answers

    def _advance(self, image: Array, present: float) -> Answers:
        """Move the window on by an image (C, H, W); answer for its middle once a frame is there."""
        maps, *rest = self._runtime.run([image[None], np.array([present], np.float32), *self._state])
        calcium = rest.pop(0) if self._card.has_calcium else None
        self._state = rest
        self._n_steps += 1
        if self._n_steps <= self._card.window // 2:
            return []
        n_channels, height, width = self._shape
        inside = np.s_[:height, :width]
        log_odds = calcium[0, 0][inside] if calcium is not None and n_channels > 1 else None
        found = decode.decode(maps[0][:, *inside], log_odds, self._threshold, self._camera.excess)
        return [(self._owed.popleft(), found)]

    def _image(self, pixels: NDArray[np.uint16]) -> Array:
        """The network's input (C, H, W) of a frame, padded."""
        piezo1, *more = scaled_photons(self._camera, pixels)
        channels: list[Image] = [normalize(piezo1, self._variance)]
        if self._card.has_calcium:
            if more:
                seen = (more[0], self._baseline.step(more[0]))
                channels += [normalize(image, self._variance) for image in seen]
            else:
                channels += [np.zeros_like(piezo1)] * 2
        _, height, width = pixels.shape
        border = ((0, 0), (0, self._height - height), (0, self._width - width))
        return np.pad(np.stack(channels), border, mode="symmetric")
