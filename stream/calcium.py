"""Calcium events at tracks: measures every living track in each frame and hands events over as they end."""

import numpy as np
from numpy.typing import NDArray

from model.localizations import Localizations
from stream.config import CalciumConfig
from stream.results import NO_IDS, NO_TRACK, CalciumEvent, CalciumUpdate, Ids, TrackUpdate
from stream.sampling import sample
from stream.traces import MIN_FRAMES, TRACE, Traces, advance, is_centred_event


class CalciumDetector:
    """Measures calcium at every living track and finds its events.

    Parameters
    ----------
    config
        Core, annulus, thresholds and longest event.
    """

    def __init__(self, config: CalciumConfig) -> None:
        self._config = config
        self._traces: Traces = np.zeros(0, TRACE)  # of living tracks, by ascending id
        self._waiting: Traces = np.zeros(0, TRACE)  # ended events of tentative tracks
        self._seq: int | None = None
        self._n_events = 0

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
            Its N puncta and what the tracker made of them.

        Returns
        -------
        CalciumUpdate
            ΔF/F0 (of the Gaussian-weighted core) and state at every track, and the events that ended.
            Only confirmed tracks give events; a tentative track's wait until it is confirmed.

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
        self._seq = seq

        linked = np.flatnonzero(tracks.track_id != NO_TRACK)
        ids = np.concatenate([tracks.track_id[linked], tracks.gap_track_id])
        order = np.argsort(ids)
        ended = self._follow(ids[order], tracks.confirmed)
        x = np.concatenate([localizations.x_px[linked], tracks.gap_x_px])[order].astype(np.float64)
        y = np.concatenate([localizations.y_px[linked], tracks.gap_y_px])[order].astype(np.float64)
        config = self._config
        annulus = (config.annulus_inner_px, config.annulus_outer_px)
        sampled = sample(np.ascontiguousarray(image, np.float32), x, y, config.core_sigma_px, annulus)
        sorted_dff, closed = advance(self._traces, (seq, time_s, elapsed), (x, y), sampled, config)

        dff, is_open = np.empty(len(ids), np.float32), np.empty(len(ids), np.bool_)
        dff[order], is_open[order] = sorted_dff, is_centred_event(self._traces)
        n = len(linked)
        nothing = CalciumUpdate.off(len(localizations), 0)
        nothing.dff[linked], nothing.is_open[linked] = dff[:n], is_open[:n]
        return CalciumUpdate(
            dff=nothing.dff,
            is_open=nothing.is_open,
            gap_dff=dff[n:],
            gap_is_open=is_open[n:],
            events=self._hand_over(np.concatenate([ended, closed]), tracks.confirmed, tracks.dropped),
        )

    def flush(self) -> tuple[CalciumEvent, ...]:
        """End the events that are still on, and forget all tracks."""
        ended = self._traces[self._traces["open"]]
        events = self._hand_over(ended, confirmed=NO_IDS, dropped=ended["id"])
        self._traces, self._waiting = self._traces[:0], self._waiting[:0]
        return events

    def _follow(self, ids: Ids, confirmed: Ids) -> Traces:
        """Bring the traces to the living tracks `ids` (ascending); gives those that ended in an event."""
        living = np.isin(self._traces["id"], ids)
        ended: Traces = self._traces[~living & self._traces["open"]]
        new = ids[~np.isin(ids, self._traces["id"])]
        born = np.zeros(len(new), TRACE)
        born["id"] = new
        traces = np.concatenate([self._traces[living], born])
        traces = traces[np.argsort(traces["id"])]
        traces["confirmed"] |= np.isin(traces["id"], confirmed)
        self._traces = traces
        return ended

    def _hand_over(self, ended: Traces, confirmed: Ids, dropped: Ids) -> tuple[CalciumEvent, ...]:
        """Events of confirmed tracks; those of tentative ones wait, those of dropped ones vanish."""
        ended = ended[is_centred_event(ended) & (ended["end"] - ended["onset"] + 1 >= MIN_FRAMES)]
        ended = np.concatenate([self._waiting, ended])
        sure = ended["confirmed"] | np.isin(ended["id"], confirmed)
        self._waiting = ended[~sure & ~np.isin(ended["id"], dropped)]
        events = tuple(_event(self._n_events + i, row) for i, row in enumerate(ended[sure]))
        self._n_events += len(events)
        return events


def _event(event_id: int, row: np.void) -> CalciumEvent:
    return CalciumEvent(
        event_id=event_id,
        track_id=int(row["id"]),
        onset_frame=int(row["onset"]),
        peak_frame=int(row["peak"]),
        end_frame=int(row["end"]),
        onset_s=float(row["onset_s"]),
        peak_s=float(row["peak_s"]),
        end_s=float(row["end_s"]),
        amplitude_dff=float(row["peak_dff"]),
        snr=float(row["peak_z"]),
        x_px=float(row["x"]),
        y_px=float(row["y"]),
    )
