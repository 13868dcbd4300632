"""How frames flow: clock, rates, latency, missing frames, queue.

Whether a camera has to be kept up with decides much: frames of a camera that are not taken are lost, so
whatever falls behind is told. A recording waits where every frame is analysed (lossless): then no speed is
too low, a full queue is how it works, and frames that wait are not missing.
"""

import math

from dashboard.models.panels import Level, Reading
from dashboard.models.rates import LONG_S, WINDOW_S
from dashboard.models.seen import NOT_KNOWN, Seen, duration, level_of, milliseconds, per_second

NO_RUN: dict[str, str] = {
    "searching": "no run on this computer yet",
    "calling": "no answer yet",
    "over": "run is over",
}


def clock(seen: Seen) -> Reading:
    """The newest frame, and whether frames come."""
    name, rates, link = "clock", seen.rates, seen.link
    meaning = "Time of the newest frame on the camera's clock, and how long ago its result came here."
    text = NOT_KNOWN
    if rates.newest_seq is not None:
        ago = "now" if rates.age_s < 1 else f"{duration(rates.age_s)} ago"
        text = f"{rates.newest_time_s:.2f} s, frame {rates.newest_seq:,}, {ago}"
    if link.state in NO_RUN:
        return Reading(name, text, word=NO_RUN[link.state], meaning=f"{meaning} {link.text}")
    if link.state == "silent":
        level = level_of(link.silent_s, *seen.limits.silence_s)
        what = "The run has stopped answering: look at its terminal, and at the network if it runs elsewhere."
        return Reading(name, text, level, f"no answer for {duration(link.silent_s)}", f"{meaning} {what}")
    if not seen.is_running:
        return Reading(name, text, word=seen.report.stage if seen.report else "", meaning=_doing(seen))
    if math.isnan(rates.age_s):
        return Reading(name, text, word="no frame yet", meaning=meaning)
    interval_s = seen.session.interval_s if seen.session else 0.0
    caution, alarm = (
        max(s, n * interval_s)
        for s, n in zip(seen.limits.silence_s, seen.limits.silence_intervals, strict=True)
    )
    level = level_of(rates.age_s, caution, alarm)
    if level == "ok":
        return Reading(name, text, meaning=meaning)
    what = (
        f"No result for more than {duration(caution)}: see whether the camera still images and whether "
        "the analysis is still busy with a frame."
    )
    return Reading(name, text, level, f"no new frame for {duration(rates.age_s)}", f"{meaning} {what}")


def _doing(seen: Seen) -> str:
    return seen.report.doing if seen.report else ""


def frames_in(seen: Seen) -> Reading:
    """Pace of the source."""
    name, session, rate = "frames in", seen.session, seen.rates.frames_in
    meaning = f"Frames a second that the source sends, over the last {WINDOW_S:.0f} s{_before_end(seen)}."
    if session is not None and not seen.must_keep_up:
        meaning += " A recording that is analysed frame by frame waits for the analysis: it sets no pace."
    elif session is not None and session.interval_s > 0:
        meaning += f" The source says that it images at {1 / session.interval_s:.4g}."
    return Reading(name, per_second(rate), word=_at_end(seen, rate), meaning=meaning)


def frames_out(seen: Seen) -> Reading:
    """Pace of the analysis."""
    name, n_in, n_out = "frames out", seen.rates.frames_in, seen.rates.frames_out
    meaning = f"Frames a second that get their result, over the last {WINDOW_S:.0f} s{_before_end(seen)}."
    if not seen.must_keep_up:
        return Reading(name, per_second(n_out), word=_at_end(seen, n_out), meaning=meaning)
    caution, alarm = seen.limits.out_of_in
    meaning += f" Below {caution:.0%} of frames in, the analysis falls behind."
    share = n_out / n_in if n_in > 0 else math.nan
    if not seen.is_running or not share < caution:
        return Reading(name, per_second(n_out), word=_at_end(seen, n_out), meaning=meaning)
    level: Level = "alarm" if share < alarm else "caution"
    meaning += (
        " Image more slowly or a smaller field, raise the detection threshold if there are many false "
        "puncta, or close other programs."
    )
    return Reading(name, per_second(n_out), level, "falls behind", meaning)


def _before_end(seen: Seen) -> str:
    return " before the last frame" if seen.has_ended else ""


def _at_end(seen: Seen, rate: float) -> str:
    return "at the end" if seen.has_ended and not math.isnan(rate) else ""


def latency(seen: Seen) -> Reading:
    """From a frame to its result."""
    name, rates, session = "latency", seen.rates, seen.session
    since = "From when a frame was sent" if seen.is_file else "From a frame's last pixel"
    if math.isnan(rates.latency_p50_ms):
        return Reading(name, NOT_KNOWN, meaning=f"{since} to its result.")
    text = f"{milliseconds(rates.latency_p50_ms)} (p99 {milliseconds(rates.latency_p99_ms)})"
    stages = ", ".join(f"{s.name} {milliseconds(s.p50_ms)} ({milliseconds(s.p99_ms)})" for s in rates.stages)
    meaning = (
        f"{since} to its result, median and 99th percentile over the {WINDOW_S:.0f} s up to the newest one. "
        f"By stage: {stages or NOT_KNOWN}."
    )
    if session is None or not seen.must_keep_up:
        return Reading(name, text, meaning=f"{meaning} Frames of a recording wait in the queue.")
    caution, alarm = (
        max(s, n * session.interval_s)
        for s, n in zip(seen.limits.latency_s, seen.limits.latency_intervals, strict=True)
    )
    level = level_of(rates.latency_p99_ms / 1e3, caution, alarm)
    meaning += f" Limits of the 99th percentile: {duration(caution)} and {duration(alarm)}."
    if level == "ok" or not seen.is_running:
        return Reading(name, text, meaning=meaning)
    what = " The slowest stage tells why; rules act that much later."
    return Reading(name, text, level, "very slow" if level == "alarm" else "slow", meaning + what)


def missing(seen: Seen) -> Reading:
    """Frames that were lost, by cause."""
    name, health, rates = "missing", seen.health, seen.rates
    meaning = "Frames without a result, by cause; those that only wait are not among them."
    if health is None:
        return Reading(name, NOT_KNOWN, meaning=meaning)
    total = sum(health.missing.values())
    if not total:
        return Reading(name, "none", meaning=meaning)
    causes = sorted(((n, cause) for cause, n in health.missing.items() if n), reverse=True)
    text = f"{total:,}: {causes[0][1]}" + (" …" if len(causes) > 1 else "")
    meaning += " " + ", ".join(f"{cause} {n:,}" for n, cause in causes) + "."
    level: Level
    if seen.has_ended:
        share = total / (health.n_out + total)
        level = "caution" if share > seen.limits.lost_share[1] else "ok"  # nothing can be done any more
        return Reading(name, text, level, f"{share:.1%} of the run", meaning)
    meaning += f" In the last {LONG_S:.0f} s, as far as this window watched them: {rates.lost_lately:,} "
    meaning += f"({rates.lost_share:.1%})."
    if not rates.lost_lately or not seen.is_running:
        return Reading(name, text, word="earlier", meaning=meaning)
    level = level_of(rates.lost_share, *seen.limits.lost_share)
    if not seen.must_keep_up:
        return Reading(name, text, level, "frames missing", meaning + " The recording lacks them.")
    meaning += (
        " Frames passed over: the analysis is slower than the camera. Lost on the way: the network is. For "
        "other causes look at the microscope's computer."
    )
    return Reading(name, text, level, "losing frames", meaning)


def queue(seen: Seen) -> Reading:
    """Frames that wait."""
    name, health, session = "queue", seen.health, seen.session
    meaning = "Frames that were sent and that the analysis has not taken up yet."
    if health is None or session is None:
        return Reading(name, NOT_KNOWN, meaning=meaning)
    text = f"{health.waiting:,}"
    if not seen.must_keep_up:
        return Reading(name, text, meaning=f"{meaning} A recording fills the queue and waits.")
    waits_s = health.waiting * session.interval_s
    is_long = seen.is_running and health.waiting > seen.limits.waiting_frames
    level = level_of(waits_s, *seen.limits.waiting_s) if is_long else "ok"
    caution = seen.limits.waiting_s[0]
    meaning += f" More than {duration(caution)} of imaging is too much: the analysis falls behind."
    return Reading(name, text, level, "" if level == "ok" else "long", meaning)
