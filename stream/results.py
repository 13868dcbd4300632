"""What the stages of the analysis hand to each other, to the recorder and to subscribers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.localizations import Localizations

Ids = NDArray[np.int64]
Column = NDArray[np.float32]
NO_IDS: Ids = np.empty(0, np.int64)
NO_TRACK = -1
UNCERTAIN, CLOSED, OPEN = -1, 0, 1  # state of a channel


class StreamError(Exception):
    """A run cannot go on; the message says what happened, where, and what to do."""


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """What one frame did to the tracks.

    Attributes
    ----------
    track_id
        Track of each localization, int64 (N,); -1 where it belongs to none. Ids are unique in a run,
        and are given to tentative tracks already: those in `dropped` were none after all.
    gap_track_id, gap_x_px, gap_y_px
        Living tracks that were not seen in this frame, and where they are predicted, each (G,).
    born, confirmed, died, dropped
        Ids of tracks that began, were confirmed, ended after confirmation, or were given up unconfirmed.
    """

    track_id: Ids
    gap_track_id: Ids
    gap_x_px: Column
    gap_y_px: Column
    born: Ids
    confirmed: Ids
    died: Ids
    dropped: Ids

    @classmethod
    def none(cls, n_localizations: int = 0) -> Self:
        """No tracks, for `n_localizations` untracked puncta."""
        no_column = np.empty(0, np.float32)
        untracked = np.full(n_localizations, NO_TRACK, np.int64)
        return cls(untracked, NO_IDS, no_column, no_column, NO_IDS, NO_IDS, NO_IDS, NO_IDS)


@dataclass(frozen=True, slots=True)
class CalciumEvent:
    """A calcium event at a track, handed over when it has ended.

    A linear rise and an exponential decay are fitted to the trace. Frames are `seq`, times are seconds.

    Attributes
    ----------
    onset_frame, peak_frame, end_frame, onset_s, peak_s, end_s
        First frame above rest, highest frame, and last one with a tenth of the peak or before the next event.
    amplitude_dff
        ΔF/F0 at the peak, in the middle of the cloud.
    rise_s, decay_s
        Time from 10 to 90 % of the rise, and time constant of the decay.
    area_dff_s
        ΔF/F0 summed over the time from onset to end.
    snr
        Amplitude in standard deviations of a matched filter over all frames of the event.
    calcium_probability
        Probability that the event is real, from the network where there is one, else from `snr`.
    in_wave
        Whether a wave passed there between onset and peak.
    x_px, y_px
        Where the track was at the peak.
    """

    event_id: int
    track_id: int
    onset_frame: int
    peak_frame: int
    end_frame: int
    onset_s: float
    peak_s: float
    end_s: float
    amplitude_dff: float
    rise_s: float
    decay_s: float
    area_dff_s: float
    snr: float
    calcium_probability: float
    in_wave: bool
    x_px: float
    y_px: float


@dataclass(frozen=True, slots=True)
class CalciumTransient:
    """A rise of calcium somewhere in the field, whatever is there, handed over when it has ended.

    Frames are `seq`, times are seconds, x and y (pixels) the centre at the peak; amplitude is the peak
    ΔF/F0 in a Gaussian-weighted core (of a wave: of its crest), snr the peak in noise standard
    deviations, area that above half of the peak (of a wave: its greatest extent) in pixels.
    `is_wave` tells waves from sparks, puffs and events at puncta; `in_wave` says that a wave passed there
    meanwhile.
    """

    transient_id: int
    onset_frame: int
    peak_frame: int
    end_frame: int
    onset_s: float
    end_s: float
    x_px: float
    y_px: float
    amplitude_dff: float
    snr: float
    area_px: float
    is_wave: bool
    in_wave: bool


@dataclass(frozen=True, slots=True)
class EventsUnderWay:
    """Calcium events that are on at living tracks in one frame, one row an event; what rules watch.

    None of it is final: what an event was like is told at its end (`CalciumEvent`), and a few percent turn
    out to be none then.

    Attributes
    ----------
    track_id, opened_frame
        The track, and the frame in which the event rose above its threshold; together they name it, (k,).
    confirmed, in_wave
        Whether the track is confirmed, and whether a wave passes there now, (k,).
    x_px, y_px
        Where the track is now, (k,).
    dff, snr
        ΔF/F0 in this frame, and the matched filter's present value in noise standard deviations, (k,).
    calcium_probability
        The network's in this frame, NaN where there is none, (k,).
    """

    track_id: Ids
    opened_frame: Ids
    confirmed: NDArray[np.bool_]
    in_wave: NDArray[np.bool_]
    x_px: Column
    y_px: Column
    dff: Column
    snr: Column
    calcium_probability: Column

    @classmethod
    def none(cls) -> Self:
        """No event is on."""
        no, nothing = np.empty(0, np.bool_), np.empty(0, np.float32)
        return cls(NO_IDS, NO_IDS, no, no, nothing, nothing, nothing, nothing, nothing)

    def __len__(self) -> int:
        return len(self.track_id)


NO_EVENTS = EventsUnderWay.none()


@dataclass(frozen=True, slots=True)
class CalciumUpdate:
    """Calcium at every living track in one frame.

    `dff` is ΔF/F0, `is_open` whether an event is on, and `state` whether the channel is closed (0), open
    (1) or its state uncertain or not measured (−1), int8; for each localization (N,) (NaN, False and −1
    where it has no track). The `gap_` columns (G,) are the same for tracks in a gap, in the order of
    `TrackUpdate.gap_track_id`. `events` at tracks, and `transients` anywhere, are those that ended;
    `under_way` are the events that are on, `wave_share` is the share of the field that is in a wave.
    """

    dff: Column
    is_open: NDArray[np.bool_]
    state: NDArray[np.int8]
    gap_dff: Column
    gap_is_open: NDArray[np.bool_]
    gap_state: NDArray[np.int8]
    events: tuple[CalciumEvent, ...] = ()
    transients: tuple[CalciumTransient, ...] = ()
    under_way: EventsUnderWay = NO_EVENTS
    wave_share: float = 0.0

    @classmethod
    def off(cls, n: int, n_gap: int) -> Self:
        """The stage is off: nothing measured."""
        return cls(
            np.full(n, np.nan, np.float32),
            np.zeros(n, np.bool_),
            np.full(n, UNCERTAIN, np.int8),
            np.full(n_gap, np.nan, np.float32),
            np.zeros(n_gap, np.bool_),
            np.full(n_gap, UNCERTAIN, np.int8),
        )


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Everything that is known of one frame.

    Attributes
    ----------
    missing_before
        Frames missing right before this one (lost anywhere between camera and analysis).
    stage_ms
        Wall time each stage took on this frame, ms, by stage name.
    latency_ms
        From the arrival of the frame's last pixel at the source (of a recording: from the moment it was
        sent) to the moment the result was ready.
    """

    seq: int
    time_s: float
    missing_before: int
    localizations: Localizations
    tracks: TrackUpdate
    calcium: CalciumUpdate
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float = 0.0


EVENT_COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(CalciumEvent))
