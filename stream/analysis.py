"""The analysis: engine, tracker and calcium stage, one frame after the other."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from acquire.frame import SourceInfo
from model.camera import Camera
from model.engines.base import Engine, ModelError, Threshold
from model.localizations import Localizations
from stream.calcium.detector import CalciumDetector
from stream.calcium.registered import RegisteredCalcium
from stream.conditions import Conditions
from stream.config import RunConfig
from stream.results import CalciumEvent, CalciumTransient, CalciumUpdate, FrameResult
from stream.tracking.tracker import Tracker
from stream.transport.arrival import Arrival


@dataclass(slots=True)
class _Pending:
    """A frame whose localizations the engine still owes."""

    arrival: Arrival
    queue_ms: float


class Analysis:
    """The stages without their sockets: `step` for every arrival, `flush` at the end.

    Parameters
    ----------
    config, info, conditions
        The run, its source and its scales.
    camera
        Converts the calcium channel to photo-electrons.
    engine
        Finds the puncta; may answer a frame or two later.
    """

    def __init__(
        self, config: RunConfig, info: SourceInfo, conditions: Conditions, camera: Camera, engine: Engine
    ) -> None:
        self._engine = engine
        self._camera = camera
        self._tracker = Tracker(config.tracker, conditions.pixel_size_nm, conditions.interval_s)
        has_calcium = info.shape[0] == 2 and config.calcium.enabled
        self._calcium: CalciumDetector | RegisteredCalcium | None = None
        if has_calcium:
            self._calcium = CalciumDetector(config.calcium)
            if conditions.registration is not None:
                self._calcium = RegisteredCalcium(self._calcium, conditions.registration.transform)
        self._pending: dict[int, _Pending] = {}
        self._next_seq = 0

    @property
    def uses_gpu(self) -> bool:
        """Whether the engine computes on a GPU."""
        return self._engine.uses_gpu

    @property
    def detection(self) -> Threshold:
        """The engine's detection threshold."""
        return self._engine.threshold

    @property
    def calcium(self) -> Threshold | None:
        """What a calcium event begins above; None where the stage is off."""
        return self._calcium.on_z if self._calcium else None

    @property
    def first_open_seq(self) -> int:
        """First frame whose result is not out yet, so that a threshold turned now may change it.

        An engine that looks ahead owes answers for earlier frames than the next one.
        """
        return min(self._pending, default=self._next_seq)

    def use_detection(self, value: float) -> None:
        """Turn the detection threshold, for results that are not out yet.

        Raises
        ------
        ModelError
            If it cannot be turned that far.
        """
        self._engine.use_threshold(value)

    def use_calcium(self, value: float) -> None:
        """Turn what a calcium event begins above; events that are on stay on.

        Raises
        ------
        ModelError
            If it cannot be turned that far, or the calcium stage is off.
        """
        if self._calcium is None:
            raise ModelError("the calcium stage is off: there is no threshold to turn")
        self._calcium.use_on_z(value)

    def step(self, arrival: Arrival) -> Iterator[FrameResult]:
        """Take a frame; yield the results that are ready, in order of `seq`."""
        queue_ms = _since_ms(arrival.sent_ns)
        self._pending[arrival.frame.seq] = _Pending(arrival, queue_ms)
        self._next_seq = arrival.frame.seq + 1
        began = time.perf_counter()
        answers = self._engine.step(arrival.frame)
        yield from self._link(answers, (time.perf_counter() - began) * 1e3)

    def flush(self) -> Iterator[FrameResult]:
        """Yield the results that the engine still owes."""
        began = time.perf_counter()
        yield from self._link(self._engine.flush(), (time.perf_counter() - began) * 1e3)

    def close(self) -> tuple[tuple[CalciumEvent, ...], tuple[CalciumTransient, ...]]:
        """End all tracks; gives the calcium events and transients that end with them."""
        self._tracker.flush()
        return (self._calcium.flush(), self._calcium.flush_field()) if self._calcium else ((), ())

    def _link(self, answers: list[tuple[int, Localizations]], engine_ms: float) -> Iterator[FrameResult]:
        for seq, localizations in answers:
            pending = self._pending.pop(seq)
            arrival, frame = pending.arrival, pending.arrival.frame
            began = time.perf_counter()
            tracks = self._tracker.step(seq, frame.time_s, localizations)
            tracked = time.perf_counter()
            if self._calcium is None:
                calcium = CalciumUpdate.off(len(localizations), len(tracks.gap_track_id))
            else:
                image = self._camera.to_photons(frame.pixels[1])
                calcium = self._calcium.step(seq, self._tracker.time_s, image, localizations, tracks)
            done = time.perf_counter()
            yield FrameResult(
                seq=seq,
                time_s=frame.time_s,
                missing_before=arrival.missing_before,
                localizations=localizations,
                tracks=tracks,
                calcium=calcium,
                stage_ms={
                    "source": max(0, arrival.sent_ns - arrival.origin_ns) / 1e6,
                    "queue": pending.queue_ms,
                    "receive": arrival.receive_ms,
                    "engine": engine_ms / len(answers),
                    "tracker": (tracked - began) * 1e3,
                    "calcium": (done - tracked) * 1e3,
                },
                latency_ms=_since_ms(arrival.origin_ns),
            )


def _since_ms(began_ns: int) -> float:
    """Time since then; never negative, as it could be where a clock was set or another computer's is read."""
    return max(0, time.time_ns() - began_ns) / 1e6
