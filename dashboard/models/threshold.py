"""The ΔF/F0 at which the detector tells an event at present, as far as results alone say.

What an event needs is known (`stream.calcium.advance`, `stream.calcium.telling`), and how noisy a trace is
can be seen below zero, where there is nothing but noise. It is approximate: the detector reckons with the
noise of each frame, which results do not tell, and asks a network where there is one, and where the calcium
came from. In simulations of a cytosolic indicator half of the transients of 1.1 to 1.2 times the height given
here are told; of a tethered one it was not tried.
"""

import math

from stream.calcium.advance import LEAK
from stream.calcium.telling import SURE, TRACE_ODDS

# Taken of a transient that decays as fast as the detector's filter leaks, to 1/e in 4.5 frames. m frames
# after its onset the leaky sum is (m + 1) LEAK^m times its height; the event opens when that exceeds on_z
# standard deviations of the sum, which are 1 / √(1 − LEAK²) of the noise.
OPENS_AT = 1 / math.sqrt(1 - LEAK**2) / max((m + 1) * LEAK**m for m in range(100))
# At its end it is told, where no network says anything, if it is likely enough by its height over the noise
# as a matched filter sees it. Both indicators share that.
_intercept, _slope = TRACE_ODDS["cytosolic"]
TOLD_Z = math.exp((math.log(SURE / (1 - SURE)) - _intercept) / _slope)
TOLD_AT = math.sqrt(1 - LEAK**2)


def threshold_z(on_z: float, *, has_network: bool) -> float:
    """Height, in standard deviations of the trace's noise, of a transient that is just told.

    Parameters
    ----------
    on_z
        The detector's threshold in force; NaN where there is none.
    has_network
        Whether a network judges the events at their end: then only what opens one is known.

    Returns
    -------
    float
        For a transient that decays to 1/e in 4.5 frames; shorter ones must be higher, longer ones need less.
        NaN for NaN.
    """
    opens = OPENS_AT * on_z
    return opens if has_network or math.isnan(on_z) else max(opens, TOLD_AT * TOLD_Z)
