"""A run judged against the truth: localizations, links and calcium events."""

import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import KDTree

from model.bound import crlb
from model.matching import assign_pairs, match_localizations
from train.track_scores import GATE_PX, pair_tracks, wholeness
from train.truth import Truth

Array = NDArray[np.float64]
Index = NDArray[np.intp]

RADIUS_NM = 250.0
ONSET_TOLERANCE_FRAMES = 3
NONE = -1  # neither emitter nor track


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a run is; NaN where there is nothing to judge.

    Attributes
    ----------
    n_true, n_found, n_matched, precision, recall, jaccard
        Localizations, matched frame by frame (Hungarian, within the radius); Jaccard index is
        TP / (TP + FP + FN).
    rmse_nm, bias_x_nm, bias_y_nm
        Root mean square error per axis of the matched, √(mean(Δx² + Δy²) / 2), and mean of found − true.
    crlb_nm, joint_crlb_nm
        Cramér–Rao bound per axis of the matched, median: of each punctum alone, and beside its
        neighbours (see `model.bound.crlb`; for a Gaussian PSF at rest).
    n_links, link_f1
        Links between matched localizations. A true link joins two of the same emitter with none of it
        between (however long the gap: blinks and misses); a found link joins two neighbouring
        localizations of a track, false ones counted. F1 = 2 TP / (true + found links). A missed
        punctum thus costs recall, not links.
    alpha, beta, jsc, jsc_theta
        Scores of the Particle Tracking Challenge for whole tracks, see `train.track_scores.PairedTracks`;
        ε is 5 pixels, gaps are bridged.
    completeness, purity, continuous_frames, switches
        In how many pieces tracks were found, see `train.track_scores.Wholeness`.
    n_true_events, n_found_events, n_matched_events, event_precision, event_recall, event_f1
        Calcium events. A found event is right when its onset lies within ±3 frames of a true event's and
        its punctum at the peak within the radius of the true one; one to one, most pairs first, then
        least onset error.
    onset_bias_frames, onset_error_frames
        Mean of found − true onset of the matched events, and of its absolute value.
    amplitude_bias, amplitude_error
        Median of found / true ΔF/F0 − 1 of the matched events, and of its absolute value.
    """

    n_true: int
    n_found: int
    n_matched: int
    precision: float
    recall: float
    jaccard: float
    rmse_nm: float
    bias_x_nm: float
    bias_y_nm: float
    crlb_nm: float
    joint_crlb_nm: float
    n_links: int
    link_f1: float
    alpha: float
    beta: float
    jsc: float
    jsc_theta: float
    completeness: float
    purity: float
    continuous_frames: float
    switches: int
    n_true_events: int
    n_found_events: int
    n_matched_events: int
    event_precision: float
    event_recall: float
    event_f1: float
    onset_bias_frames: float
    onset_error_frames: float
    amplitude_bias: float
    amplitude_error: float

    @property
    def rmse_over_crlb(self) -> float:
        """RMSE in units of the bound of isolated puncta."""
        return _ratio(self.rmse_nm, self.crlb_nm)

    @property
    def rmse_over_joint_crlb(self) -> float:
        """RMSE in units of the bound beside neighbours."""
        return _ratio(self.rmse_nm, self.joint_crlb_nm)

    def as_dict(self) -> dict[str, float | int | None]:
        """Everything by name, None for NaN, as JSON wants it."""
        values = asdict(self) | {
            "rmse_over_crlb": self.rmse_over_crlb,
            "rmse_over_joint_crlb": self.rmse_over_joint_crlb,
        }
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}

    def summary(self) -> list[str]:
        """Lines for people."""
        return [
            f"puncta   {self.n_matched} of {self.n_true} found, {self.n_found - self.n_matched} false: "
            f"precision {self.precision:.3f}, recall {self.recall:.3f}, Jaccard {self.jaccard:.3f}",
            f"position RMSE {self.rmse_nm:.1f} nm per axis = {self.rmse_over_crlb:.2f} × Cramér–Rao bound "
            f"({self.rmse_over_joint_crlb:.2f} × with neighbours), "
            f"bias {self.bias_x_nm:+.1f}, {self.bias_y_nm:+.1f} nm",
            f"tracks   link F1 {self.link_f1:.3f} over {self.n_links} true links, "
            f"{self.switches} identity switches",
            f"         α {self.alpha:.3f}, β {self.beta:.3f}, JSC {self.jsc:.3f}, JSCθ {self.jsc_theta:.3f} "
            "(ε 5 px)",
            f"         completeness {self.completeness:.3f}, purity {self.purity:.3f}, "
            f"{self.continuous_frames:.0f} frames in one piece",
            f"calcium  {self.n_matched_events} of {self.n_true_events} events found, "
            f"{self.n_found_events - self.n_matched_events} false: precision {self.event_precision:.3f}, "
            f"recall {self.event_recall:.3f}, F1 {self.event_f1:.3f}",
            f"         onset {self.onset_bias_frames:+.1f} frames (|error| {self.onset_error_frames:.1f}), "
            f"amplitude {self.amplitude_bias:+.0%} (|error| {self.amplitude_error:.0%})",
        ]


def evaluate(
    truth: Truth,
    puncta: pd.DataFrame,
    events: pd.DataFrame,
    *,
    radius_nm: float = RADIUS_NM,
    onset_tolerance_frames: int = ONSET_TOLERANCE_FRAMES,
) -> Evaluation:
    """Judge a run's tables; every frame of the truth counts.

    Parameters
    ----------
    puncta, events
        The run's `puncta` and `calcium_events` tables; a `track_id` of −1 is no track.
    radius_nm
        Largest distance between what is true and what is found.
    onset_tolerance_frames
        Largest difference between a true and a found onset.
    """
    true, found = _match(truth.puncta, puncta, radius_nm)
    n_true, n_found, n_matched = len(truth.puncta), len(puncta), len(true)
    offset = (_xy(puncta)[found] - _xy(truth.puncta)[true]) if n_matched else np.full((1, 2), np.nan)
    emitter = np.full(n_found, NONE)
    emitter[found] = truth.puncta["track_id"].to_numpy()[true]
    n_links, link_f1 = _judge_links(puncta, emitter)
    paired = pair_tracks(truth.puncta, puncta, GATE_PX * truth.pixel_size_nm)
    pieces = wholeness(emitter, puncta, truth.puncta.groupby("track_id").size())

    event_true, event_found = _match_events(truth.events, events, radius_nm, onset_tolerance_frames)
    n_events = len(event_true)
    onset = _of_pairs("onset_frame", truth.events, event_true, events, event_found)
    amplitude = _of_pairs("amplitude_dff", truth.events, event_true, events, event_found)
    onset_error = onset[1] - onset[0]
    amplitude_error = amplitude[1] / amplitude[0] - 1
    return Evaluation(
        n_true=n_true,
        n_found=n_found,
        n_matched=n_matched,
        precision=_ratio(n_matched, n_found),
        recall=_ratio(n_matched, n_true),
        jaccard=_ratio(n_matched, n_true + n_found - n_matched),
        rmse_nm=float(np.sqrt(np.mean(offset**2))),
        bias_x_nm=float(offset[:, 0].mean()),
        bias_y_nm=float(offset[:, 1].mean()),
        crlb_nm=_median_bound(truth, true, joint=False),
        joint_crlb_nm=_median_bound(truth, true, joint=True),
        n_links=n_links,
        link_f1=link_f1,
        alpha=paired.alpha,
        beta=paired.beta,
        jsc=paired.jsc,
        jsc_theta=paired.jsc_theta,
        completeness=pieces.completeness,
        purity=pieces.purity,
        continuous_frames=pieces.continuous_frames,
        switches=pieces.switches,
        n_true_events=len(truth.events),
        n_found_events=len(events),
        n_matched_events=n_events,
        event_precision=_ratio(n_events, len(events)),
        event_recall=_ratio(n_events, len(truth.events)),
        event_f1=_ratio(2 * n_events, len(truth.events) + len(events)),
        onset_bias_frames=float(onset_error.mean()),
        onset_error_frames=float(np.abs(onset_error).mean()),
        amplitude_bias=float(np.median(amplitude_error)),
        amplitude_error=float(np.median(np.abs(amplitude_error))),
    )


def _match(truth: pd.DataFrame, found: pd.DataFrame, radius_nm: float) -> tuple[Index, Index]:
    """Rows of `truth` and of `found` that belong together, matched frame by frame."""
    true_rows, found_rows = _rows_by_frame(truth), _rows_by_frame(found)
    true_xy, found_xy = _xy(truth), _xy(found)
    pairs: list[tuple[Index, Index]] = [(np.empty(0, np.intp), np.empty(0, np.intp))]
    for frame in true_rows.keys() & found_rows.keys():
        t, f = true_rows[frame], found_rows[frame]
        i, j = match_localizations(true_xy[t], found_xy[f], radius_nm)
        pairs.append((t[i], f[j]))
    return np.concatenate([t for t, _ in pairs]), np.concatenate([f for _, f in pairs])


def _judge_links(puncta: pd.DataFrame, emitter: NDArray[np.int64]) -> tuple[int, float]:
    """Number of true links and F1 of the found ones, as `Evaluation` defines them."""
    frame = puncta["frame"].to_numpy()
    track = puncta["track_id"].to_numpy()
    true, found = _links(emitter, frame), _links(track, frame)
    return len(true), _ratio(2 * len(true & found), len(true) + len(found))


def _links(owner: NDArray[np.int64], frame: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Pairs of rows that follow each other in time under the same owner."""
    rows = np.flatnonzero(owner != NONE)
    rows = rows[np.lexsort((frame[rows], owner[rows]))]
    same = owner[rows[1:]] == owner[rows[:-1]]
    return set(zip(rows[:-1][same].tolist(), rows[1:][same].tolist(), strict=True))


def _match_events(
    truth: pd.DataFrame, found: pd.DataFrame, radius_nm: float, tolerance: int
) -> tuple[Index, Index]:
    if truth.empty or found.empty:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = KDTree(_xy(truth)).sparse_distance_matrix(KDTree(_xy(found)), radius_nm, output_type="ndarray")
    true_onset, found_onset = truth["onset_frame"].to_numpy(), found["onset_frame"].to_numpy()
    lag = np.abs(found_onset[near["j"]] - true_onset[near["i"]]).astype(np.float64)
    in_time = lag <= tolerance
    return assign_pairs(near["i"][in_time], near["j"][in_time], lag[in_time], len(truth), len(found))


def _median_bound(truth: Truth, matched: Index, *, joint: bool) -> float:
    """Median bound per axis in nm of the matched rows of the truth."""
    if not len(matched):
        return math.nan
    table, nm = truth.puncta, truth.pixel_size_nm
    scales = {"x_nm": nm, "y_nm": nm, "photons": 1.0, "psf_sigma_nm": nm, "background": 1.0}
    columns = [table[name].to_numpy(np.float64) / scale for name, scale in scales.items()]
    bound = np.full((len(table), 2), np.nan)
    for rows in _rows_by_frame(table).values():
        x, y, photons, sigma, background = (column[rows] for column in columns)
        bound[rows] = crlb(x, y, photons, sigma, background, truth.camera, joint=joint)
    return float(np.median(np.sqrt(np.mean(bound[matched] ** 2, axis=1)))) * nm


def _of_pairs(
    name: str, truth: pd.DataFrame, true: Index, found: pd.DataFrame, found_rows: Index
) -> tuple[Array, Array]:
    """A column of the matched, true and found; a single NaN where nothing matched."""
    if not len(true):
        return np.full(1, np.nan), np.full(1, np.nan)
    return truth[name].to_numpy(np.float64)[true], found[name].to_numpy(np.float64)[found_rows]


def _rows_by_frame(table: pd.DataFrame) -> dict[int, Index]:
    if table.empty:
        return {}
    frame = table["frame"].to_numpy()
    order = np.argsort(frame, kind="stable")
    frames, starts = np.unique(frame[order], return_index=True)
    return dict(zip(frames.tolist(), np.split(order, starts[1:]), strict=True))


def _xy(table: pd.DataFrame) -> Array:
    return table[["x_nm", "y_nm"]].to_numpy(np.float64)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else math.nan
