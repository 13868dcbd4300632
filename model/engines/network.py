"""The `network` engine: a trained network, by whatever library runs it fastest here."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines.backends import first_line, open_session
from model.engines.base import ModelError, RawFrame, Threshold
from model.engines.names import GPU_BACKENDS, BackendName
from model.engines.window import Found, Shown, Tag, Window
from model.graph_io import Opening, as_bytes
from model.localizations import Localizations
from model.maps import MIN_PROBABILITY

Answers = list[tuple[int, Localizations]]
HIGH_PROBABILITY = 0.999  # that a threshold can be turned to; three quarters of the demo movie's puncta pass
TRIAL_SIZE = (48, 48)  # height and width of the image that backends are tried on before the first frame

log = logging.getLogger(__name__)


class NetworkEngine:
    """Localizes with a trained network that sees a short window of frames; deterministic.

    Answers come `window // 2` frames late, with a GPU one more. What is missing at either end of a movie, in
    a gap of `seq` or at a change of shape counts as absent, as in training: what is owed is answered first,
    and the window begins anew. The calcium baseline is slow and outlives gaps.

    The network measures the PSF's width itself. It has calcium probabilities where it was trained for
    them and the frames have a calcium channel, else they are NaN.

    With the backend "auto", a backend that fails while it runs is replaced by the next one: this is logged
    and written to the description, and the frames of the window are shown again.

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
        Library that runs it, see `model.engines.backends`.
    transform
        (2, 3): where a pixel of channel 1 lies in channel 2, see `model.registration.places`; None: in the
        same place.

    Raises
    ------
    ModelError
        If the model or the backend cannot be used or the threshold makes no sense; from `step` and
        `prepare`, if a camera map does not fit the image or no backend works any more.
    """

    def __init__(
        self,
        camera: Camera,
        psf_sigma_px: float,
        model: Path | None = None,
        threshold: float | None = None,
        why: str = "as configured",
        backend: BackendName = "auto",
        transform: NDArray[np.float64] | None = None,
    ) -> None:
        self._path = model or SHIPPED_MODEL
        self._graph, self._card = read_model(self._path)
        chosen = self._card.threshold if threshold is None else threshold
        if not MIN_PROBABILITY <= chosen < 1:
            raise ModelError(
                f"engine.threshold is {chosen:g}; it must be at least {MIN_PROBABILITY:g} "
                f"and below 1, {self._path.name} was tuned with {self._card.threshold:g}"
            )
        self._threshold = Threshold(chosen, MIN_PROBABILITY, max(HIGH_PROBABILITY, chosen), "probability")
        self._camera = camera
        self._transform = np.asarray(np.eye(2, 3) if transform is None else transform, np.float32)
        self._backend = backend
        self._failed: frozenset[str] = frozenset()
        low, high = self._card.optics.sigma_px
        self._notes = [why]
        self._caution = ""
        if not low <= psf_sigma_px <= high:
            self._caution = (
                f"; the PSF's σ of {psf_sigma_px:.2f} px lies outside the {low:g} to {high:g} px it was "
                "trained on: check its answers against the wavelet engine"
            )
        self._last_seq = -1
        self._size = TRIAL_SIZE
        self._is_ready = False  # for frames of that size and this camera
        self._open(Camera())

    @property
    def description(self) -> str:
        """Model, backend, device and why it was chosen."""
        return (
            f"{self._path.stem} network, {self._card.window} frames, threshold {self._threshold.value:g}, "
            f"by {self._session.description} ({'; '.join(self._notes)}){self._caution}"
        )

    @property
    def window(self) -> int:
        """Frames that the network looks at."""
        return self._card.window

    @property
    def uses_gpu(self) -> bool:
        """Whether the backend in use computes on a GPU."""
        return self._backend_name in GPU_BACKENDS

    @property
    def threshold(self) -> Threshold:
        """Least probability of a punctum."""
        return self._threshold

    def use_threshold(self, value: float) -> None:
        """Take another detection threshold from the next step on, whose answer is for an earlier frame."""
        self._threshold = self._threshold.turned(value)

    def prepare(self, height: int, width: int) -> None:
        """Open the graph for images of a size, so that the first frame takes no longer than the others."""
        self._check_nothing_owed()
        self._size, self._is_ready = (height, width), True
        self._open(self._camera)

    def use_camera(self, camera: Camera) -> None:
        """Take another camera; what is open stays open."""
        self._check_nothing_owed()
        if self._is_ready:
            self._session.use(self._opening(self._size, camera).constants)
        self._camera = camera

    def step(self, frame: RawFrame) -> Answers:
        """Take a frame; answer for the one `window // 2` before it."""
        height, width = frame.pixels.shape[1:]
        answers: Answers = []
        if not self._is_ready or (height, width) != self._size:
            self._opening((height, width), self._camera).check_camera()  # before anything is lost
            answers = self._finish(keep_baseline=False)
            self.prepare(height, width)
        elif frame.seq != self._last_seq + 1:
            answers = self._finish(keep_baseline=True)
        self._last_seq = frame.seq
        n_channels = len(self._card.channels)
        # A calcium decoder needs a second channel, whatever it holds.
        pixels = frame.pixels[:n_channels] if len(frame.pixels) >= n_channels else frame.pixels[[0, 0]]
        shown = Shown(as_bytes(pixels), Tag(frame.seq, len(frame.pixels) > 1))
        return answers + self._run(lambda window: window.show(shown, self._threshold.value), [shown])

    def flush(self) -> Answers:
        """Answer for the last frames."""
        return self._finish(keep_baseline=False)

    def _check_nothing_owed(self) -> None:
        if self._window.owed():
            raise RuntimeError("frames are owed an answer: flush first")

    def _finish(self, keep_baseline: bool) -> Answers:
        """Answer for what is owed, and begin a new window."""
        answers = self._run(lambda window: window.finish(self._threshold.value), [])
        self._session.restart(keep_baseline)
        self._window = Window(self._session, self._card.window)
        return answers

    def _run(self, do: Callable[[Window], Found], shown: list[Shown]) -> Answers:
        """Do something with the window that shows it frames; with another backend if this one fails."""
        again = [*self._window.recent, *shown]
        owed = self._window.owed() | {frame.tag for frame in shown}
        try:
            return self._answers(do(self._window))
        except Exception as error:  # each library has its own
            failure = error
        while True:
            self._give_up_backend(failure)
            try:
                threshold = self._threshold.value
                found = [answer for frame in again for answer in self._window.show(frame, threshold)]
                if not shown:
                    found += self._window.finish(threshold)
                return self._answers([(tag, table) for tag, table in found if tag in owed])
            except Exception as error:
                failure = error

    def _give_up_backend(self, error: Exception) -> None:
        """Open another backend than the one that failed."""
        what = f"{self._session.description} failed: {first_line(error)}"
        if self._backend != "auto":
            raise ModelError(what) from error
        log.error("%s; trying the next backend", what)
        self._notes.append(what)
        self._failed |= {self._backend_name}
        self._open(self._camera)

    def _open(self, camera: Camera) -> None:
        try:
            self._session, self._backend_name, passed_over = open_session(
                self._backend, self._opening(self._size, camera), self._failed
            )
        except ModelError as error:
            raise ModelError(f"{self._path}: {error}") from error
        self._notes += [note for note in passed_over if note not in self._notes]
        self._window = Window(self._session, self._card.window)

    def _opening(self, size: tuple[int, int], camera: Camera) -> Opening:
        return Opening(self._graph, self._card, *size, camera, self._transform, self._path)

    def _answers(self, found: Found) -> Answers:
        answers = []
        for tag, table in found:
            if not tag.has_calcium:
                table[:, -1] = np.nan
            answers.append((tag.seq, Localizations.from_table(table)))
        return answers
