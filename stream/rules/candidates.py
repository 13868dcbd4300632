"""What happened in a frame, as columns: the candidates that rules choose from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.results import NO_TRACK, CalciumEvent, CalciumTransient, FrameResult, Ids
from stream.rules import fields as known

Column = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Candidates:
    """n things of one kind that happened, or are on, in a frame.

    Attributes
    ----------
    fields
        Columns (n,) by the names of `stream.rules.fields`.
    track_id
        (n,), −1 where it is about no track.
    since
        Frame that tells one event of a track from another, (n,); only of events that are on.
    confirmed, in_wave
        Where they are, (n,).
    """

    fields: Mapping[str, Column]
    track_id: Ids
    since: Ids
    confirmed: NDArray[np.bool_]
    in_wave: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.track_id)


class Observer:
    """Makes candidates of results; remembers of the tracks what no single result says.

    Parameters
    ----------
    pixel_size_nm
        Pixel size in the sample, nm.
    """

    def __init__(self, pixel_size_nm: float) -> None:
        self._nm = pixel_size_nm
        self._born_s: dict[int, float] = {}  # of living tracks
        self._confirmed: set[int] = set()  # of these
        self._result: FrameResult | None = None
        self._now_s = 0.0

    def take(self, result: FrameResult, now_s: float) -> None:
        """Go on to the next result; `now_s` is its time on a clock that neither stands still nor leaps."""
        self._result, self._now_s = result, now_s
        tracks = result.tracks
        for track_id in (*tracks.died.tolist(), *tracks.dropped.tolist()):
            self._born_s.pop(track_id, None)
            self._confirmed.discard(track_id)
        self._born_s.update(dict.fromkeys(tracks.born.tolist(), now_s))
        self._confirmed.update(tracks.confirmed.tolist())

    def see(self, subject: str) -> Candidates:
        """What of this kind (a key of `SUBJECTS`) the result holds."""
        result = self._result
        assert result is not None
        match subject:
            case known.EVENT:
                return self._under_way(result)
            case known.EVENT_ENDED:
                return self._ended(result.calcium.events)
            case known.TRANSIENT_ENDED | known.WAVE_ENDED:
                is_wave = subject == known.WAVE_ENDED
                return self._transients([t for t in result.calcium.transients if t.is_wave == is_wave])
            case known.TRACK:
                return self._tracks(result)
            case known.WAVE if not result.calcium.wave_share:
                return NOTHING[known.WAVE]
            case known.WAVE:
                return _nowhere({"wave_share": result.calcium.wave_share})
            case _:
                return self._frame(result)

    def _age_s(self, track_id: Ids) -> Column:
        return np.array([self._now_s - self._born_s.get(i, np.nan) for i in track_id.tolist()])

    def _place(self, x_px: Column, y_px: Column) -> dict[str, Column]:
        return {"x_nm": x_px * float(self._nm), "y_nm": y_px * float(self._nm)}

    def _under_way(self, result: FrameResult) -> Candidates:
        on = result.calcium.under_way
        if not len(on):
            return NOTHING[known.EVENT]
        fields = {
            "snr": on.snr,
            "dff": on.dff,
            "calcium_probability": on.calcium_probability,
            "track_age_s": self._age_s(on.track_id),
            **self._place(on.x_px, on.y_px),
        }
        return Candidates(fields, on.track_id, on.opened_frame, on.confirmed, on.in_wave)

    def _ended(self, events: Sequence[CalciumEvent]) -> Candidates:
        if not events:
            return NOTHING[known.EVENT_ENDED]
        names = ("amplitude_dff", "rise_s", "decay_s", "area_dff_s", "snr", "calcium_probability")
        fields = {
            **{name: np.array([getattr(e, name) for e in events]) for name in names},
            "duration_s": np.array([e.end_s - e.onset_s for e in events]),
            **self._place(np.array([e.x_px for e in events]), np.array([e.y_px for e in events])),
        }
        track_id = np.array([e.track_id for e in events], np.int64)
        since = np.array([e.onset_frame for e in events], np.int64)
        in_wave = np.array([e.in_wave for e in events], np.bool_)
        return Candidates(fields, track_id, since, np.ones(len(events), np.bool_), in_wave)

    def _transients(self, transients: Sequence[CalciumTransient]) -> Candidates:
        if not transients:
            return NOTHING[known.WAVE_ENDED]
        fields = {
            "amplitude_dff": np.array([t.amplitude_dff for t in transients]),
            "duration_s": np.array([t.end_s - t.onset_s for t in transients]),
            "snr": np.array([t.snr for t in transients]),
            "area_um2": np.array([t.area_px for t in transients]) * (self._nm / 1000) ** 2,
            **self._place(np.array([t.x_px for t in transients]), np.array([t.y_px for t in transients])),
        }
        n, in_wave = len(transients), np.array([t.in_wave for t in transients], np.bool_)
        since = np.array([t.onset_frame for t in transients], np.int64)
        return Candidates(fields, np.full(n, NO_TRACK, np.int64), since, np.zeros(n, np.bool_), in_wave)

    def _tracks(self, result: FrameResult) -> Candidates:
        ids, found = result.tracks.confirmed, result.localizations
        if not len(ids):
            return NOTHING[known.TRACK]
        # A track is confirmed by a detection, so its punctum is among those of this frame.
        row = np.flatnonzero(np.isin(result.tracks.track_id, ids))
        track_id = result.tracks.track_id[row]
        fields = {
            "photons": found.photons[row],
            "track_age_s": self._age_s(track_id),
            **self._place(found.x_px[row], found.y_px[row]),
        }
        n = len(row)
        nothing = np.zeros(n, np.bool_)
        return Candidates(fields, track_id, np.full(n, result.seq, np.int64), ~nothing, nothing)

    def _frame(self, result: FrameResult) -> Candidates:
        calcium = result.calcium
        return _nowhere(
            {
                "puncta": float(len(result.localizations)),
                "tracks": float(len(self._confirmed)),
                "open_tracks": float(np.count_nonzero(calcium.under_way.confirmed)),
                "wave_share": calcium.wave_share,
                "missing": float(result.missing_before),
                "latency_ms": result.latency_ms,
            }
        )


def _nowhere(fields: Mapping[str, float], n: int = 1) -> Candidates:
    """Something about no place; of it there is one or (n = 0) none."""
    no = np.zeros(n, np.bool_)
    columns = {name: np.full(n, value) for name, value in fields.items()}
    return Candidates(columns, np.full(n, NO_TRACK, np.int64), np.zeros(n, np.int64), no, no)


NOTHING = {
    name: _nowhere(dict.fromkeys(subject.fields, 0.0), 0) for name, subject in known.SUBJECTS.items()
}  # most frames hold nothing of a kind
