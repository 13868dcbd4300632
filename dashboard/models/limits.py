"""From when on the health bar warns."""

from dataclasses import dataclass

GB = 10**9


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the health bar; two numbers are those of caution and of alarm.

    Those in frame intervals have a floor in seconds for fast cameras: what lasts less does not disturb.
    """

    # Pauses of a Python program (garbage, a table written) last tenths of a second; people notice seconds.
    silence_s: tuple[float, float] = (2.0, 10.0)
    # One of slow frames is still on its way.
    silence_intervals: tuple[float, float] = (3.0, 10.0)
    # Both counts may be off by a fifth of a second in five, so that 4 % may be nothing.
    out_of_in: tuple[float, float] = (0.95, 0.8)
    # Ten frames are where a live source begins to pass frames over (its queues hold 2 to 8) ...
    latency_intervals: tuple[float, float] = (10.0, 30.0)
    # ... and an engine waits for two frames to come. Whoever acts on results wants them within tenths of a
    # second; after a second they are history, as a flicker of calcium lasts about as long.
    latency_s: tuple[float, float] = (0.1, 1.0)
    # Any frame that was lost lately is shown; a twentieth of them breaks tracks of fast puncta.
    lost_share: tuple[float, float] = (0.0, 0.05)
    # Waiting frames of a camera, in seconds of imaging: the latency follows ...
    waiting_s: tuple[float, float] = (1.0, 5.0)
    # ... where they are more than the queues of a live source hold.
    waiting_frames: int = 10
    # Drivers keep some for themselves, and at the end of it the engine fails.
    gpu_share: tuple[float, float] = (0.9, 0.97)
    # Tables are written at the end of a run, and take as much room again as the journal; Windows gets slow.
    disk_bytes: tuple[int, int] = (10 * GB, 2 * GB)
    # Time to make room: to think about it, and to end the run in order.
    disk_s: tuple[float, float] = (600.0, 120.0)
    # Results go to disk twice a second; this is many times as late.
    unrecorded_s: tuple[float, float] = (5.0, 20.0)
