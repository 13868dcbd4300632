"""A frame as it comes out of the transport."""

from dataclasses import dataclass

from acquire.frame import Frame


@dataclass(frozen=True, slots=True)
class Arrival:
    """A received frame.

    Attributes
    ----------
    sent_ns
        When the sender handed the frame over; like `frame.arrived_ns` on this computer's wall clock, as
        far as the offset between the two is known.
    missing_before
        Frames missing right before this one.
    receive_ms
        What taking it from the socket and decoding it took.
    """

    frame: Frame
    sent_ns: int
    missing_before: int
    receive_ms: float

    @property
    def origin_ns(self) -> int:
        """Where latency begins: its last pixel's arrival at the source, of a recording when it was sent."""
        return self.sent_ns if self.frame.arrived_ns is None else self.frame.arrived_ns
