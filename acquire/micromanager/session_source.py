"""What a source of Micro-Manager's images says of itself, however it images."""

from collections.abc import Mapping

from acquire.frame import SourceInfo
from acquire.live import Action
from acquire.micromanager.plan import Plan
from acquire.micromanager.session import Session


class SessionSource:
    """The part of a `LiveSource` that follows from its session and its plan, which a subclass sets.

    Attributes
    ----------
    session
        The microscope, and the path of its images.
    """

    session: Session
    _plan: Plan

    @property
    def info(self) -> SourceInfo:
        """As the devices are set."""
        return self.session.info

    @property
    def losses(self) -> Mapping[str, int]:
        """Frames lost on the way, by cause; final after the iteration."""
        return self.session.losses

    @property
    def figures(self) -> Mapping[str, float]:
        """Cost of the hook, and how well the pairs agree."""
        return self.session.figures

    def stop(self) -> None:
        """End the acquisition; `frames` gives what it has and ends."""
        self.session.hook.close(cut=True)
        self._end()

    def act(self, action: Action) -> str:
        """Stop, or change exposure, interval or burst, from the next frame on; numbers go on."""
        if action.kind == "stop":
            self.stop()
            return "the acquisition ends"
        return self._plan.act(action)

    def arrived_ns(self, seq: int) -> int | None:
        """When the last pixel of a recent frame had arrived."""
        return self.session.queue.arrived_ns(seq)

    def _end(self) -> None:
        self._plan.end()
