"""The calcium traces of all living tracks: baseline, noise, and the events on them, frame by frame.

A trace is core over annulus (`stream.sampling`) relative to a slow baseline: ΔF/F0. A leaky sum of it,
the matched filter of a rise that decays exponentially, opens an event above `on_z` noise standard
deviations and closes it below `off_z`. Onsets are dated back to where the rise began by the change
point of a cumulative sum (Page, Biometrika 41, 100 (1954)).
"""

import numpy as np
from numpy.typing import NDArray

from stream.config import CalciumConfig
from stream.sampling import N_OCTANTS, Array

Mask = NDArray[np.bool_]
Traces = NDArray[np.void]  # rows of TRACE

WARM_UP_FRAMES = 10  # no events before baseline and noise rest on this many frames
BASELINE_RATE = 0.02  # of their exponential means
LEAK = 0.6  # of the matched filter, a frame
# A rise goes on while the trace exceeds this many noise sd on average: half the weakest steady rise that
# reaches the default on_z (Page's choice).
RISE_Z = 1.1
# What leads up to a frame belongs to the same rise if its mean is at least this share of the frame, as it
# is for any rise up to quadratic in time.
SHARE_OF_RISE = 1 / 3
CLOSE_FRAMES = 2  # frames below off_z that end an event
MIN_FRAMES = 2  # shorter events are noise
OUTLIER_SD = 3.0  # deviations count in noise and baseline up to here
MEAN_TO_SD = float(np.sqrt(np.pi / 2))  # from mean absolute deviation to sd, for Gaussian noise
# Averaged movies are less noisy than their photons say, but below a tenth the image is constant.
MIN_SHOT_SHARE = 0.1
MIN_BASELINE = 0.1  # a core darker than a tenth of its surroundings has no meaningful ΔF/F0

# An octant has 6.3 pixels, the default core as much light as 4πσ² = 28: its noise is √(28/6.3) times as
# large; and the greatest of 8 normal deviates is 1.42 on average.
OCTANT_NOISE = 2.1
REGION_NOISE = np.array([1.0] + N_OCTANTS * [OCTANT_NOISE])  # of core and octants
MAX_OF_OCTANTS = 1.42

TRACE = np.dtype(
    [
        ("id", np.int64),
        ("confirmed", np.bool_),
        ("frames", np.int64),  # that baseline and noise rest on
        ("baseline", np.float64, 1 + N_OCTANTS),  # of core and octants
        ("deviation", np.float64),  # mean absolute ΔF/F0 outside events
        ("noise", np.float64),  # sd of ΔF/F0
        ("shot_sd", np.float64),  # mean share of the photons in it
        ("leaky", np.float64),  # leaky sum of ΔF/F0 …
        ("leaky_power", np.float64),  # … and its variance in units of noise²
        ("cusum", np.float64),  # above 0 since a rise began
        ("open", np.bool_),
        ("low_frames", np.int64),  # successive ones below off_z
        # The rise or event under way:
        ("rise", np.float64, 1 + N_OCTANTS),  # summed ΔF/F0 of core and octants
        ("rise_frames", np.int64),  # number of frames in that sum
        ("onset", np.int64),
        ("onset_s", np.float64),
        ("peak", np.int64),
        ("peak_s", np.float64),
        ("peak_dff", np.float64),
        ("peak_z", np.float64),
        ("x", np.float64),
        ("y", np.float64),
        ("end", np.int64),
        ("end_s", np.float64),
    ]
)


def advance(
    traces: Traces,
    now: tuple[int, float, int],
    position: tuple[Array, Array],
    sampled: tuple[Array, Array],
    config: CalciumConfig,
) -> tuple[Array, Traces]:
    """Take one frame into the traces, in place.

    Parameters
    ----------
    traces
        Rows of `TRACE`, (n,).
    now
        seq, time in s, and frames since the last one.
    position
        x and y of the tracks in pixels, (n,) each.
    sampled
        What `stream.sampling.sample` gives there: ratio (n, 9) and shot_sd (n,).
    config
        Thresholds and longest event.

    Returns
    -------
    dff
        ΔF/F0 of the core, (n,), NaN where nothing could be measured.
    closed
        Copies of the traces whose event has ended in this frame.
    """
    ratio, shot_sd = sampled
    dff = _relative(traces, ratio)
    seen = np.isfinite(dff[:, 0])
    ready = seen & (traces["frames"] >= WARM_UP_FRAMES)
    rise = np.where(ready[:, None], np.nan_to_num(dff), 0.0)

    noise = np.where(traces["noise"] > 0, traces["noise"], np.inf)
    # A frame dimmer than usual (a lamp that flickers, a shutter) is noisier and weighs less.
    clearness = np.divide(traces["shot_sd"], shot_sd, out=np.ones(len(traces)), where=ready)
    weighed = np.minimum(clearness, 1.0) * rise[:, 0]
    elapsed = now[2]
    traces["leaky"] = traces["leaky"] * LEAK**elapsed + weighed
    traces["leaky_power"] = traces["leaky_power"] * LEAK ** (2 * elapsed) + ready
    z = traces["leaky"] / (noise * np.sqrt(np.maximum(traces["leaky_power"], 1.0)))
    _record(traces, now, position, rise, z, weighed / noise, config.off_z)
    traces["open"] |= ready & (z > config.on_z) & (traces["cusum"] > 0)
    _learn(traces, ratio, dff[:, 0], shot_sd, seen & ~traces["open"])

    traces["low_frames"] = np.where(z < config.off_z, traces["low_frames"] + 1, 0)
    closing = traces["open"] & (traces["low_frames"] >= CLOSE_FRAMES)
    too_long = traces["open"] & ~closing & (now[0] - traces["onset"] >= config.max_duration_frames)
    closed = traces[closing]
    for name in ("open", "leaky", "leaky_power", "cusum"):
        traces[name][closing | too_long] = 0
    traces["frames"][too_long] = 0  # what lasts is the new baseline
    return dff[:, 0], closed


def is_centred_event(traces: Traces) -> Mask:
    """Traces with an event on whose core rose more than every octant beside it, noise considered.

    Otherwise it is a spark or a neighbour beside the punctum, not the punctum itself.
    """
    octant_noise = OCTANT_NOISE * traces["noise"] * np.sqrt(traces["rise_frames"])
    beside = traces["rise"][:, 1:].max(axis=1) - MAX_OF_OCTANTS * octant_noise
    centred: Mask = traces["open"] & (traces["rise"][:, 0] > beside)
    return centred


def _relative(traces: Traces, ratio: Array) -> Array:
    """ΔF/F0 of core and octants, (n, 9); a region seen for the first time is its own baseline."""
    unknown = (traces["frames"] == 0)[:, None] | ~np.isfinite(traces["baseline"])
    traces["baseline"] = np.where(unknown, ratio, traces["baseline"])
    dff: Array = ratio / np.maximum(traces["baseline"], MIN_BASELINE) - 1.0
    dff[~(traces["baseline"][:, 0] >= MIN_BASELINE)] = np.nan
    return dff


def _record(
    traces: Traces,
    now: tuple[int, float, int],
    position: tuple[Array, Array],
    rise: Array,
    z: Array,
    raw_z: Array,
    off_z: float,
) -> None:
    """Keep what an event will say: where it began, its peak, its last frame, core against octants."""
    seq, time_s, _ = now
    was_rising = traces["cusum"] > 0
    traces["cusum"] = np.maximum(traces["cusum"] + raw_z - RISE_Z, 0.0)
    active = traces["open"] | (traces["cusum"] > 0)
    # A frame that dwarfs the rise before it shows that one to be noise.
    dwarfed = rise[:, 0] * SHARE_OF_RISE * traces["rise_frames"] > traces["rise"][:, 0]
    begins = active & ~traces["open"] & (~was_rising | dwarfed)
    traces["onset"][begins], traces["onset_s"][begins] = seq, time_s
    traces["rise"][begins], traces["rise_frames"][begins] = 0.0, 0
    traces["peak_dff"][begins], traces["peak_z"][begins] = -np.inf, 0.0

    traces["rise"][active] += rise[active]
    traces["rise_frames"][active] += 1
    traces["peak_z"][active] = np.maximum(traces["peak_z"], z)[active]
    higher = active & (rise[:, 0] > traces["peak_dff"])
    traces["peak"][higher], traces["peak_s"][higher] = seq, time_s
    traces["peak_dff"][higher] = rise[higher, 0]
    traces["x"][higher], traces["y"][higher] = position[0][higher], position[1][higher]
    # The filter lags behind, so the last frame is dated by the trace itself.
    above = begins | (active & (raw_z > off_z))
    traces["end"][above], traces["end_s"][above] = seq, time_s


def _learn(traces: Traces, ratio: Array, dff: Array, shot_sd: Array, quiet: Mask) -> None:
    """Move baseline and noise of quiet traces: means at first, exponential means later."""
    frames = traces["frames"][quiet] + 1
    limit = np.where(frames > WARM_UP_FRAMES, OUTLIER_SD * traces["noise"][quiet], np.inf)
    rate = np.maximum(1.0 / frames, BASELINE_RATE)
    traces["shot_sd"][quiet] += rate * (shot_sd[quiet] - traces["shot_sd"][quiet])
    baseline = traces["baseline"][quiet]
    largest = limit[:, None] * REGION_NOISE * np.maximum(np.abs(baseline), MIN_BASELINE)
    step = rate[:, None] * np.clip(ratio[quiet] - baseline, -largest, largest)
    traces["baseline"][quiet] += np.nan_to_num(step)

    # Around a mean of k frames the next one scatters by √(1 + 1/k) of the noise; the first has none.
    later = frames > 1
    deviation = np.abs(dff[quiet]) / np.sqrt(1.0 + 1.0 / np.maximum(frames - 1, 1))
    rate = np.maximum(1.0 / np.maximum(frames - 1, 1), BASELINE_RATE)
    old = traces["deviation"][quiet]
    new = np.where(later, old + rate * (np.minimum(deviation, limit) - old), 0.0)
    traces["deviation"][quiet] = new
    traces["noise"][quiet] = np.maximum(MEAN_TO_SD * new, MIN_SHOT_SHARE * shot_sd[quiet])
    traces["frames"][quiet] = frames
