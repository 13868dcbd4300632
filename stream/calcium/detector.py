"""Calcium events at tracks: measures every living track in each frame and hands events over as they end."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.engines.base import Threshold
from model.localizations import Localizations
from stream.calcium.advance import advance, end_event
from stream.calcium.cytosolic import CloudGauge, Measured, moments
from stream.calcium.handover import HandOver
from stream.calcium.origin import locate
from stream.calcium.sampling import Array
from stream.calcium.telling import Told, tell
from stream.calcium.tethered import SpotGauge
from stream.calcium.traces import Mask, Records, Rows, Traces, is_centred_event
from stream.config import CalciumConfig
from stream.field.detector import CalciumField
from stream.gating.idealisation import Gating, event_states
from stream.results import (
    NO_EVENTS,
    NO_TRACK,
    CalciumEvent,
    CalciumTransient,
    CalciumUpdate,
    EventsUnderWay,
    Ids,
    TrackUpdate,
)

# A track that ends in an event hands it to the next one that begins so near within so many frames: puncta
# blink, and the tracker may lose one. What is on before so many frames are missing ends there.
HEIR_PX, HEIR_FRAMES = 2.5, 10
BORDER_PX = 0.8  # beyond the outermost pixels' centres: what lies farther out was not seen
# How far on_z can be turned: from just above off_z to where nothing is found any more (of 80 events in the
# demo movie 11 begin at 30, 1 at 40, none at 50).
ABOVE_OFF_Z, HIGHEST_Z = 0.1, 50.0
CERTAIN = 1e-3  # a network's probability counts as at least this, and at most 1 less this


@dataclass(frozen=True, slots=True, eq=False)
class _Orphan:
    """An event that is on at a track that has ended at x, y; `seq` is its last frame."""

    seq: int
    x: float
    y: float
    state: np.void  # row of STATE


class CalciumDetector:
    """Measures calcium at every living track and finds its events.

    Parameters
    ----------
    config
        Indicator, thresholds and longest event.
    """

    def __init__(self, config: CalciumConfig) -> None:
        self._config = config
        low, high = min(config.on_z, config.off_z + ABOVE_OFF_Z), max(config.on_z, HIGHEST_Z)
        self._on_z = Threshold(config.on_z, low, high, "noise standard deviations")
        self._traces = Traces.begin(config.max_duration_frames)  # of living tracks, by ascending id
        self._at = np.empty(0), np.empty(0)  # where they were seen last
        self._orphans: list[_Orphan] = []
        self._hand_over = HandOver(config.max_duration_frames + HEIR_FRAMES)
        self._seq: int | None = None
        self._since = 0  # frame before which too many are missing
        self._shape = (0, 0)
        self._field = CalciumField(config)
        annulus = (config.annulus_inner_px, config.annulus_outer_px)
        self._clouds: CloudGauge | None = None
        self._gating: Gating | None = None
        if config.indicator == "tethered":
            self._spots = SpotGauge(config.core_sigma_px, annulus)
            self._gating = Gating(config)
        else:
            self._clouds = CloudGauge(config.cloud_sigma_px, config.max_duration_frames)

    @property
    def on_z(self) -> Threshold:
        """What an event begins above, and how far it can be turned."""
        return self._on_z

    def use_on_z(self, z: float) -> None:
        """Let events begin above another threshold from the next frame on; one that is on stays on.

        Raises
        ------
        ModelError
            If it lies outside the limits.
        """
        self._on_z = self._on_z.turned(z)

    def step(
        self,
        seq: int,
        time_s: float,
        image: NDArray[np.float32],
        localizations: Localizations,
        tracks: TrackUpdate,
    ) -> CalciumUpdate:
        """Measure one frame; frames come in order, missing ones are simply not given.

        Parameters
        ----------
        seq, time_s
            Index and time (s) of the frame.
        image
            Its calcium channel in photons, float32 (H, W).
        localizations, tracks
            Its N puncta, with the network's calcium probabilities where there are any, and what the
            tracker made of them.

        Returns
        -------
        CalciumUpdate
            ΔF/F0 and state at every track, and the events that ended. Only confirmed tracks give events;
            a tentative track's wait until it is confirmed.

        Raises
        ------
        ValueError
            If `seq` is not greater than the last one.
        """
        if self._seq is not None and seq <= self._seq:
            raise ValueError(
                f"frame {seq} came to the calcium stage after frame {self._seq}; seq must increase"
            )
        elapsed = 1 if self._seq is None else seq - self._seq
        self._seq, self._shape = seq, (image.shape[0], image.shape[1])
        image = np.ascontiguousarray(image, np.float32)
        field = self._field.step(seq, time_s, image)

        linked = np.flatnonzero(tracks.track_id != NO_TRACK)
        ids = np.concatenate([tracks.track_id[linked], tracks.gap_track_id])
        order = np.argsort(ids)
        x = np.concatenate([localizations.x_px[linked], tracks.gap_x_px])[order].astype(np.float64)
        y = np.concatenate([localizations.y_px[linked], tracks.gap_y_px])[order].astype(np.float64)
        log_odds = np.full(len(ids), np.nan)
        log_odds[: len(linked)] = _log_odds(localizations.calcium_probability[linked])

        told = self._break_off() if elapsed > HEIR_FRAMES else []
        born, left = self._follow(seq, elapsed, ids[order], (x, y), tracks.confirmed)
        told += left
        self._traces.state["seen"][order < len(linked)] = seq
        if self._clouds is not None:
            measured = self._clouds.measure(self._traces, seq, time_s, image, (x, y))
            self._look_back(self._clouds, born, (x, y))
        else:
            measured = self._spots.measure(self._traces, image, (x, y))
        moment = moments(seq, time_s, measured, (x, y))
        moment["log_odds"], moment["in_wave"] = log_odds[order], field.in_wave(x, y)
        told += self._advance(moment, elapsed, measured)
        if self._clouds is not None:
            self._clouds.learn(seq, time_s, image)
        else:
            self._spots.learn(self._traces)

        n = len(linked)
        dff, is_open = np.empty(len(ids), np.float32), np.empty(len(ids), np.bool_)
        is_centred = is_centred_event(self._traces)
        dff[order], is_open[order] = measured.dff, is_centred
        state = np.empty(len(ids), np.int8)
        if self._gating is None or self._spots.found is None:
            state[order] = event_states(is_open[order], measured.dff)
        else:
            state[order] = self._gating.follow(ids[order], elapsed, self._spots.found)
        nothing = CalciumUpdate.off(len(localizations), 0)
        nothing.dff[linked], nothing.is_open[linked], nothing.state[linked] = dff[:n], is_open[:n], state[:n]
        return CalciumUpdate(
            dff=nothing.dff,
            is_open=nothing.is_open,
            state=nothing.state,
            gap_dff=dff[n:],
            gap_is_open=is_open[n:],
            gap_state=state[n:],
            events=self._hand_over.step(told, tracks.confirmed, tracks.dropped),
            transients=field.transients,
            under_way=self._under_way(moment, is_centred),
            wave_share=field.wave_fraction,
        )

    def flush(self) -> tuple[CalciumEvent, ...]:
        """End the events that are still on, and forget all tracks."""
        told = []
        state = self._traces.state
        for on in [*state[state["open"]], *(o.state for o in self._orphans)]:
            told += self._tell(on, int(on["length"]))
        events = self._hand_over.step([t for t in told if t.sure])
        self._hand_over.forget()
        self._traces = Traces.begin(self._config.max_duration_frames)
        self._at = np.empty(0), np.empty(0)
        self._orphans = []
        return events

    def flush_field(self) -> tuple[CalciumTransient, ...]:
        """End the transients that are still on anywhere in the field."""
        return self._field.flush()

    def _break_off(self) -> list[Told]:
        """Begin all traces anew: too many frames are missing to know how what is on went on."""
        traces, told = self._traces, []
        for row in range(len(traces)):
            length = int(traces.state["length"][row])
            if traces.state["open"][row]:
                told += self._tell(traces.state[row], length)
            end_event(traces.state, traces.course, traces.total, row, length)
        traces.state["length"] = 0
        self._since = self._seq or 0
        return told

    def _follow(
        self, seq: int, elapsed: int, ids: Ids, at: tuple[Array, Array], confirmed: Ids
    ) -> tuple[Rows, list[Told]]:
        """Bring the traces to the living tracks `ids` (ascending), which are `at` x and y.

        Gives the new ones that begin with nothing, and the events of tracks that ended without an heir.
        """
        traces = self._traces
        born = np.empty(0, np.intp)
        late = [o for o in self._orphans if seq - o.seq > HEIR_FRAMES]
        self._orphans = [o for o in self._orphans if seq - o.seq <= HEIR_FRAMES]
        if not np.array_equal(ids, traces.state["id"]):
            before, (x, y) = traces.state, self._at
            ended, new = traces.follow(ids)
            self._orphans += [_Orphan(seq - elapsed, x[row], y[row], before[row].copy()) for row in ended]
            heirs = [self._inherit(row, at[0][row], at[1][row]) for row in new]
            born = new[~np.array(heirs, np.bool_)]
        if len(confirmed):
            traces.state["confirmed"] |= np.isin(ids, confirmed)
        self._at = at
        left = [t for o in late for t in self._tell(o.state, int(o.state["length"]))]
        traces.free.extend(int(o.state["slot"]) for o in late)
        return born, [t for t in left if t.sure]

    def _inherit(self, row: int, x: float, y: float) -> bool:
        """Give a new track the event of the nearest track that ended near it; False if there is none."""
        near = [o for o in self._orphans if math.hypot(o.x - x, o.y - y) < HEIR_PX]
        if not near:
            return False
        orphan = min(near, key=lambda o: math.hypot(o.x - x, o.y - y))
        self._orphans.remove(orphan)
        state = self._traces.state
        track_id = state["id"][row]
        self._traces.free.append(int(state["slot"][row]))
        before = state[row] = orphan.state
        state["id"][row], state["confirmed"][row] = track_id, False
        inherited = before["owner"] != before["id"]  # from a confirmed track, which keeps it
        opened = self._traces.course["seq"][before["slot"], before["opened"] - 1]
        if before["confirmed"] and not (inherited and opened <= before["owner_seen"]):
            state["owner"][row], state["owner_seen"][row] = before["id"], before["seen"]
        elif not inherited:
            state["owner"][row] = track_id
        return True

    def _look_back(self, clouds: CloudGauge, born: Rows, at: tuple[Array, Array]) -> None:
        """Fill the traces of new tracks with what was at their places before they were found."""
        if not len(born):
            return
        now, seen = clouds.past((at[0][born], at[1][born]))
        rows = np.tile(born, len(now) // len(born))
        known = now["seq"] >= self._since
        z = (math.inf, self._config.off_z)  # nothing opens in the past
        advance(self._traces, rows[known], now[known], 1, seen.patch[known], seen.pixel_variance[known], z)

    def _advance(self, moment: Records, elapsed: int, measured: Measured) -> list[Told]:
        """Take the frame, `elapsed` after the last one, into the traces; gives what ended."""
        traces, z = self._traces, (self._on_z.value, self._config.off_z)
        rows = np.arange(len(traces))
        ended = advance(traces, rows, moment, elapsed, measured.patch, measured.pixel_variance, z)
        if self._clouds is not None:
            locate(traces, *self._at, self._clouds.noise)
        else:
            traces.state["centred"] = True
        told = []
        for row in np.flatnonzero(ended).tolist():
            told += self._tell(traces.state[row], int(ended[row]))
            end_event(traces.state, traces.course, traces.total, row, int(ended[row]))
        return told

    def _under_way(self, moment: Records, is_open: Mask) -> EventsUnderWay:
        """The events that are on, from this frame's rows of `MOMENT` and what is open in it."""
        rows = np.flatnonzero(is_open & ~self._traces.state["void"])
        if not len(rows):
            return NO_EVENTS
        on, now = self._traces.state[rows], moment[rows]
        return EventsUnderWay(
            track_id=on["id"],
            opened_frame=self._traces.course["seq"][on["slot"], on["opened"] - 1],
            confirmed=on["confirmed"],
            in_wave=now["in_wave"],
            x_px=now["x"],
            y_px=now["y"],
            dff=now["dff"],
            snr=(on["sum"] / np.sqrt(on["power"])).astype(np.float32),
            calcium_probability=1 / (1 + np.exp(-now["log_odds"])),
        )

    def _tell(self, state: np.void, length: int) -> list[Told]:
        """The event of a trace, a row of STATE, with `length` moments: a list, empty if none."""
        template = self._config.cloud_sigma_px if self._clouds is not None else None
        told = tell(self._traces.course[state["slot"], :length], state, self._config.indicator, template)
        if told is None:
            return []
        height, width = self._shape
        inside = (
            -BORDER_PX <= told.centre_x <= width - 1 + BORDER_PX
            and -BORDER_PX <= told.centre_y <= height - 1 + BORDER_PX
        )
        return [told] if inside else []


def _log_odds(probability: NDArray[np.float32]) -> Array:
    p = np.clip(probability.astype(np.float64), CERTAIN, 1 - CERTAIN)
    log_odds: Array = np.log(p / (1 - p))
    return log_odds
