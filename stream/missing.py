"""Frames of a run without a result, each under one cause, while it goes on and at its end."""

from stream.transport.receiver import FrameReceiver

PASSED_OVER = "passed over for a newer frame"
DAMAGED = "damaged on the way"
LOST = "lost on the way"
NOT_ANALYSED = "not analysed, as the run failed"


class Missing:
    """Counts by cause in words; causes without a frame are left out.

    Parameters
    ----------
    receiver
        Knows what came, and what the source says of itself.
    """

    def __init__(self, receiver: FrameReceiver) -> None:
        self._receiver = receiver

    def behind_source(self) -> dict[str, int]:
        """Frames that came and were not used, so far."""
        return _told({PASSED_OVER: self._receiver.skipped, DAMAGED: self._receiver.damaged})

    def so_far(self) -> dict[str, int]:
        """All that is known while the run goes on; what the source lost, as it said last."""
        receiver = self._receiver
        return _told({**receiver.source_losses, **self.behind_source(), LOST: receiver.lost})

    def at_the_end(self, n_out: int) -> dict[str, int]:
        """What became of every frame but the `n_out` with a result; what nobody owns up to was lost."""
        receiver = self._receiver
        causes = {**(receiver.end.losses if receiver.end else {}), **self.behind_source()}
        causes[NOT_ANALYSED] = receiver.n_received - n_out
        causes[LOST] = max(0, receiver.frames_in - n_out - sum(causes.values()))
        return _told(causes)


def _told(causes: dict[str, int]) -> dict[str, int]:
    return {cause: count for cause, count in causes.items() if count}
