"""What a run lives on: engine, GPU, disk, what it records, and this window itself."""

import math

from dashboard.models.limits import GB
from dashboard.models.panels import Level, Reading
from dashboard.models.rates import RatesView
from dashboard.models.seen import NOT_KNOWN, Seen, duration, level_of

ON_THE_WAY = 2  # results are written when the next one comes


def engine(seen: Seen) -> Reading:
    """What finds the puncta."""
    session = seen.session
    meaning = "What finds the puncta, and on which device."
    if session is None:
        return Reading("engine", NOT_KNOWN, meaning=meaning)
    return Reading("engine", session.engine, meaning=" ".join([meaning, *session.notes]))


def gpu_memory(seen: Seen) -> Reading:
    """Memory of the GPU."""
    name, health = "GPU memory", seen.health
    meaning = "Memory of the GPU, of all programs that use it."
    if health is None:
        return Reading(name, NOT_KNOWN, meaning=meaning)
    gpu = health.gpu
    if gpu is None or not gpu.total_bytes:
        return Reading(
            name, "no GPU in use", meaning="The run uses no GPU, or its memory cannot be asked for."
        )
    level = level_of(gpu.used_bytes / gpu.total_bytes, *seen.limits.gpu_share)
    text = f"{gpu.used_bytes / GB:.1f} of {gpu.total_bytes / GB:.1f} GB"
    meaning = f"{gpu.name}. {meaning}"
    if level == "ok":
        return Reading(name, text, meaning=meaning)
    return Reading(
        name, text, level, "nearly full", f"{meaning} Close other programs that use it: full, the run fails."
    )


def disk(seen: Seen) -> Reading:
    """Room on the disk."""
    name, health, rates, limits = "disk", seen.health, seen.rates, seen.limits
    meaning = "Room left where the run folder is, and for how long at what was written in the last minute."
    if health is None:
        return Reading(name, NOT_KNOWN, meaning=meaning)
    free, left_s = health.disk_free_bytes, math.inf
    if rates.bytes_per_s > 0:
        left_s = free / rates.bytes_per_s
    text = f"{free / GB:.1f} GB left"
    if left_s < 100 * 3600 and not seen.has_ended:
        text += f", {duration(left_s)}"
    level: Level = "ok"
    if seen.link.state == "over":  # nothing is written any more
        return Reading(name, text, meaning="Room left where the run folder is, as the run said last.")
    if free < limits.disk_bytes[0] or left_s < limits.disk_s[0]:
        level = "caution"
    if free < limits.disk_bytes[1] or left_s < limits.disk_s[1]:
        level = "alarm"
    if level == "ok":
        return Reading(name, text, meaning=meaning)
    meaning += (
        f" Below {limits.disk_bytes[0] / GB:.0f} GB or {duration(limits.disk_s[0])} it gets short, below "
        f"{limits.disk_bytes[1] / GB:.0f} GB or {duration(limits.disk_s[1])} the run may fail. Make room or "
        "end the run; without an answer of the disk this is 0."
    )
    return Reading(name, text, level, "nearly full" if level == "alarm" else "short", meaning)


def recording(seen: Seen) -> Reading:
    """What is kept, and where."""
    name, health, session = "recording", seen.health, seen.session
    if health is None or session is None:
        return Reading(name, NOT_KNOWN, meaning="Where results and raw images go.")
    text = f"results into {session.folder}"
    if session.saves_raw:
        text += f"; raw images into {session.saves_raw}"
        raw = "Raw images are saved by the microscope's side."
    elif seen.is_file:
        raw = "The raw images are the recording itself."
    else:
        text += "; raw images not saved"
        raw = "The raw images are gone when the run is over: microscope.save keeps them."
    known = "were on disk when it was asked last" if seen.link.state == "over" else "are on disk"
    meaning = f"On {session.host}, {health.recorded:,} frames with their results {known}. {raw}"
    interval_s = session.interval_s if seen.must_keep_up else _interval_out_s(seen.rates)
    late_s = max(health.n_out - health.recorded - ON_THE_WAY, 0) * interval_s
    level = level_of(late_s, *seen.limits.unrecorded_s) if seen.is_running else "ok"
    if level == "ok":
        return Reading(name, text, meaning=meaning)
    meaning += " Results are written twice a second; the disk is that much slower."
    return Reading(name, text, level, f"{duration(late_s)} late", meaning)


def _interval_out_s(rates: RatesView) -> float:
    return 1 / rates.frames_out if rates.frames_out > 0 else 0.0


def this_window(seen: Seen) -> Reading:
    """What this window itself leaves out."""
    name, lately = "this window", seen.rates.overrun_lately
    meaning = (
        "Results that this window left out because it could not keep up. The run and what it records know "
        "nothing of that; only traces and counts shown here have gaps."
    )
    if not seen.overrun:
        return Reading(name, "shows every result", meaning=meaning)
    text = f"left {seen.overrun:,} results out"
    if not lately:
        return Reading(name, text, word="not lately", meaning=meaning)
    what = " Show fewer traces, no tails, or a smaller window."
    return Reading(name, text, "caution", "leaves results out", meaning + what)
