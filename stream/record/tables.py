"""The tables of a run: their columns, and how frame results become rows of them.

Journal and results share the schemas, so folding a run only selects rows. Positions are nm in the
sample, times seconds, ids −1 where there is none.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray

from stream.results import NO_TRACK, CalciumEvent, CalciumTransient, FrameResult

Array = NDArray[Any]
Arrays = list[Array]

_POSITION = [("x_nm", pa.float64()), ("y_nm", pa.float64())]

PUNCTA = pa.schema(
    [
        ("frame", pa.int64()),
        ("time_s", pa.float64()),
        ("track_id", pa.int64()),
        *_POSITION,
        ("x_sd_nm", pa.float32()),
        ("y_sd_nm", pa.float32()),
        ("photons", pa.float32()),
        ("background", pa.float32()),
        ("psf_sigma_nm", pa.float32()),
        ("probability", pa.float32()),
        ("calcium_dff", pa.float32()),
        ("calcium_probability", pa.float32()),
    ]
)
TRAJECTORIES = pa.schema(
    [
        ("track_id", pa.int64()),
        ("frame", pa.int64()),
        ("time_s", pa.float64()),
        *_POSITION,
        ("observed", pa.int8()),
        ("calcium_dff", pa.float32()),
        ("calcium_state", pa.int8()),
    ]
)
TRACK_LOG = pa.schema([("track_id", pa.int64()), ("frame", pa.int64()), ("what", pa.string())])
EVENTS = pa.schema(
    [
        ("event_id", pa.int64()),
        ("track_id", pa.int64()),
        ("onset_frame", pa.int64()),
        ("peak_frame", pa.int64()),
        ("end_frame", pa.int64()),
        ("onset_s", pa.float64()),
        ("duration_s", pa.float64()),
        ("rise_s", pa.float64()),
        ("decay_s", pa.float64()),
        ("amplitude_dff", pa.float32()),
        ("area_dff_s", pa.float32()),
        ("snr", pa.float32()),
        ("calcium_probability", pa.float32()),
        ("in_wave", pa.int8()),
        *_POSITION,
    ]
)
TRANSIENTS = pa.schema(
    [
        ("transient_id", pa.int64()),
        ("onset_frame", pa.int64()),
        ("peak_frame", pa.int64()),
        ("end_frame", pa.int64()),
        ("onset_s", pa.float64()),
        ("duration_s", pa.float64()),
        *_POSITION,
        ("amplitude_dff", pa.float32()),
        ("snr", pa.float32()),
        ("area_um2", pa.float32()),
        ("is_wave", pa.int8()),
        ("in_wave", pa.int8()),
    ]
)
TRACKS = pa.schema(
    [
        ("track_id", pa.int64()),
        ("first_frame", pa.int64()),
        ("last_frame", pa.int64()),
        ("n_observed", pa.int64()),
        ("diffusion_um2_s", pa.float64()),
        ("diffusion_low_um2_s", pa.float64()),
        ("diffusion_high_um2_s", pa.float64()),
        ("alpha", pa.float64()),
        ("mobility", pa.string()),
        ("mobility_probability", pa.float64()),
        ("confinement_probability", pa.float64()),
        ("confinement_nm", pa.float64()),
        ("n_events", pa.int64()),
        ("event_rate_hz", pa.float64()),
        ("mean_photons", pa.float64()),
        ("localization_sd_nm", pa.float64()),
    ]
)
_FIRED = [
    ("trigger_id", pa.int64()),
    ("rule", pa.string()),
    ("frame", pa.int64()),
    ("newest_frame", pa.int64()),
    ("time_s", pa.float64()),
    ("what", pa.string()),
    ("track_id", pa.int64()),
    ("x_nm", pa.float64()),
    ("y_nm", pa.float64()),
    ("measured", pa.string()),
]
_ANSWER = [
    ("outcome", pa.string()),
    ("ok", pa.int8()),
    ("latency_ms", pa.float32()),
    ("newest_latency_ms", pa.float32()),
]
TRIGGERS = pa.schema([*_FIRED, ("action", pa.string()), ("value", pa.string()), *_ANSWER])
# In the journal of a run that has rules: as they fire, and as they are answered.
TRIGGER_JOURNAL = {
    "triggers": pa.schema(_FIRED),
    "trigger_answers": pa.schema([("trigger_id", pa.int64()), *_ANSWER]),
}
CHANGES = ("born", "confirmed", "died", "dropped")
STAGES = ("source", "queue", "receive", "engine", "tracker", "calcium")


def frames_schema(stages: Sequence[str]) -> pa.Schema:
    """Columns of the frames table; `elapsed_s` is when the result was recorded, since the run began."""
    return pa.schema(
        [
            ("frame", pa.int64()),
            ("time_s", pa.float64()),
            ("missing_before", pa.int64()),
            ("n_puncta", pa.int64()),
            ("elapsed_s", pa.float64()),
            ("latency_ms", pa.float32()),
            *((f"{stage}_ms", pa.float32()) for stage in stages),
        ]
    )


def schemas(stages: Sequence[str] = STAGES) -> dict[str, pa.Schema]:
    """Schema of every journalled table, by name."""
    return {
        "puncta": PUNCTA,
        "trajectories": TRAJECTORIES,
        "track_log": TRACK_LOG,
        "calcium_events": EVENTS,
        "calcium_transients": TRANSIENTS,
        "frames": frames_schema(stages),
    }


def rows(
    results: Sequence[FrameResult],
    elapsed_s: Sequence[float],
    events: Sequence[CalciumEvent],
    transients: Sequence[CalciumTransient],
    pixel_size_nm: float,
    stages: Sequence[str],
) -> dict[str, pa.RecordBatch]:
    """Rows of every table for consecutive results, recorded at `elapsed_s`, and for what ended besides."""
    columns = {
        "puncta": _puncta(results, pixel_size_nm),
        "trajectories": _trajectories(results, pixel_size_nm),
        "track_log": _track_log(results),
        "calcium_events": _events([*(e for r in results for e in r.calcium.events), *events], pixel_size_nm),
        "calcium_transients": _transients(
            [*(t for r in results for t in r.calcium.transients), *transients], pixel_size_nm
        ),
        "frames": _frames(results, elapsed_s, stages),
    }
    return {
        name: pa.RecordBatch.from_arrays(
            [pa.array(column, field.type) for column, field in zip(columns[name], schema, strict=True)],
            schema=schema,
        )
        for name, schema in schemas(stages).items()
    }


def _join(columns: Iterable[Array], dtype: DTypeLike = np.float32) -> Array:
    """One column; also of no frames at all."""
    return np.concatenate([np.empty(0, dtype), *columns])


def _frame_and_time(results: Sequence[FrameResult], counts: Sequence[int]) -> Arrays:
    return [
        np.repeat(np.array([r.seq for r in results], np.int64), np.array(counts, np.intp)),
        np.repeat(np.array([r.time_s for r in results], np.float64), np.array(counts, np.intp)),
    ]


def _puncta(results: Sequence[FrameResult], pixel_size_nm: float) -> Arrays:
    found = [r.localizations for r in results]
    nm = np.float32(pixel_size_nm)
    return [
        *_frame_and_time(results, [len(f) for f in found]),
        _join((r.tracks.track_id for r in results), np.int64),
        _join(f.x_px for f in found).astype(np.float64) * pixel_size_nm,
        _join(f.y_px for f in found).astype(np.float64) * pixel_size_nm,
        _join(f.x_sd_px for f in found) * nm,
        _join(f.y_sd_px for f in found) * nm,
        _join(f.photons for f in found),
        _join(f.background for f in found),
        _join(f.psf_sigma_px for f in found) * nm,
        _join(f.probability for f in found),
        _join(r.calcium.dff for r in results),
        _join(f.calcium_probability for f in found),
    ]


def _trajectories(results: Sequence[FrameResult], pixel_size_nm: float) -> Arrays:
    """Observed tracks and tracks in a gap, in order of frame."""
    tracked = _join((r.tracks.track_id for r in results), np.int64) != NO_TRACK
    seen = [
        *_frame_and_time(results, [len(r.tracks.track_id) for r in results]),
        _join((r.tracks.track_id for r in results), np.int64),
        _join(r.localizations.x_px for r in results),
        _join(r.localizations.y_px for r in results),
        _join(r.calcium.dff for r in results),
        _join((r.calcium.state for r in results), np.int8),
    ]
    gaps = [
        *_frame_and_time(results, [len(r.tracks.gap_track_id) for r in results]),
        _join((r.tracks.gap_track_id for r in results), np.int64),
        _join(r.tracks.gap_x_px for r in results),
        _join(r.tracks.gap_y_px for r in results),
        _join(r.calcium.gap_dff for r in results),
        _join((r.calcium.gap_state for r in results), np.int8),
    ]
    both = [np.concatenate([s[tracked], g]) for s, g in zip(seen, gaps, strict=True)]
    observed = np.zeros(len(both[0]), np.int8)
    observed[: np.count_nonzero(tracked)] = 1
    order = np.argsort(both[0], kind="stable")
    frame, time_s, track_id, x_px, y_px, dff, state = (column[order] for column in both)
    x_nm = x_px.astype(np.float64) * pixel_size_nm
    y_nm = y_px.astype(np.float64) * pixel_size_nm
    return [track_id, frame, time_s, x_nm, y_nm, observed[order], dff, state]


def _track_log(results: Sequence[FrameResult]) -> Arrays:
    entries = [
        (track_id, result.seq, change)
        for result in results
        for change in CHANGES
        for track_id in getattr(result.tracks, change).tolist()
    ]
    track_id, frame, change = zip(*entries, strict=True) if entries else ((), (), ())
    return [np.array(track_id, np.int64), np.array(frame, np.int64), np.array(change, object)]


def _events(events: Sequence[CalciumEvent], pixel_size_nm: float) -> Arrays:
    return [
        np.array([e.event_id for e in events], np.int64),
        np.array([e.track_id for e in events], np.int64),
        np.array([e.onset_frame for e in events], np.int64),
        np.array([e.peak_frame for e in events], np.int64),
        np.array([e.end_frame for e in events], np.int64),
        np.array([e.onset_s for e in events], np.float64),
        np.array([e.end_s - e.onset_s for e in events], np.float64),
        np.array([e.rise_s for e in events], np.float64),
        np.array([e.decay_s for e in events], np.float64),
        np.array([e.amplitude_dff for e in events], np.float32),
        np.array([e.area_dff_s for e in events], np.float32),
        np.array([e.snr for e in events], np.float32),
        np.array([e.calcium_probability for e in events], np.float32),
        np.array([e.in_wave for e in events], np.int8),
        np.array([e.x_px for e in events], np.float64) * pixel_size_nm,
        np.array([e.y_px for e in events], np.float64) * pixel_size_nm,
    ]


def _transients(transients: Sequence[CalciumTransient], pixel_size_nm: float) -> Arrays:
    return [
        np.array([t.transient_id for t in transients], np.int64),
        np.array([t.onset_frame for t in transients], np.int64),
        np.array([t.peak_frame for t in transients], np.int64),
        np.array([t.end_frame for t in transients], np.int64),
        np.array([t.onset_s for t in transients], np.float64),
        np.array([t.end_s - t.onset_s for t in transients], np.float64),
        np.array([t.x_px for t in transients], np.float64) * pixel_size_nm,
        np.array([t.y_px for t in transients], np.float64) * pixel_size_nm,
        np.array([t.amplitude_dff for t in transients], np.float32),
        np.array([t.snr for t in transients], np.float32),
        np.array([t.area_px for t in transients], np.float64) * (pixel_size_nm / 1000) ** 2,
        np.array([t.is_wave for t in transients], np.int8),
        np.array([t.in_wave for t in transients], np.int8),
    ]


def _frames(results: Sequence[FrameResult], elapsed_s: Sequence[float], stages: Sequence[str]) -> Arrays:
    return [
        np.array([r.seq for r in results], np.int64),
        np.array([r.time_s for r in results], np.float64),
        np.array([r.missing_before for r in results], np.int64),
        np.array([len(r.localizations) for r in results], np.int64),
        np.array(elapsed_s, np.float64),
        np.array([r.latency_ms for r in results], np.float32),
        *(np.array([r.stage_ms.get(s, np.nan) for r in results], np.float32) for s in stages),
    ]
