"""The sockets of a client to one place: its desk, and the results and pictures that are told of there."""

from collections.abc import Callable, Iterator
from contextlib import suppress

import zmq

from stream import wire
from stream.results import StreamError
from stream.transport.keys import Keys
from stream.transport.sockets import Context, Socket, connect, make_socket
from stream.transport.watch import DROPPED, NO_KEYS, NO_SOURCE, UNKNOWN_HERE, Watch
from stream.watch.address import beside

MAX_REPLY_BYTES = 2 * wire.MAX_HEADER_BYTES
QUEUE_REQUESTS = 10
QUEUE_RESULTS, QUEUE_PICTURES = 1000, 2
READ_AT_ONCE = 500  # messages; then the others have their turn
REFUSALS = {
    UNKNOWN_HERE: "it does not know this computer's key: copy the *.public file from here into its "
    "dashboards.keys, and start its run anew",
    NO_KEYS: "one side uses keys and the other none: it needs dashboards.keys, this dashboard --keys",
    NO_SOURCE: "what listens there is no run of this program",
    DROPPED: "it drops every call: its key is not the *.public one in --keys here, or it uses no keys",
}


class Subscription:
    """A socket that hears a run's messages; each connection names the run first."""

    def __init__(
        self, context: Context, endpoint: str, keys: Keys | None, topics: tuple[bytes, ...], queue: int
    ) -> None:
        self.endpoint = endpoint
        self._socket = make_socket(context, zmq.SUB)
        self._socket.rcvhwm = queue
        for topic in (wire.GREETING_TOPIC, *topics):
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)
        connect(self._socket, endpoint, keys)
        self._run_id = ""
        self._awaited: str | None = None  # the run whose report was the newest when the greeting came

    @property
    def socket(self) -> Socket:
        """To wait at."""
        return self._socket

    def is_held(self, run_id: str | None) -> bool:
        """Whether what comes now is of a run whose report is still to come."""
        return self._run_id not in ("", run_id) and run_id == self._awaited

    def messages(self, run_id: str | None, refused: Callable[[str], None]) -> Iterator[list[memoryview]]:
        """What has come of a run.

        What is of the next one waits until that one's report has come, what is left of the last one is
        dropped.
        """
        for _ in range(READ_AT_ONCE):
            if self.is_held(run_id):
                return
            try:
                parts = [part.buffer for part in self._socket.recv_multipart(zmq.NOBLOCK, copy=False)]
            except zmq.Again:
                return
            if bytes(parts[0][: len(wire.GREETING_TOPIC)]) != wire.GREETING_TOPIC:
                if self._run_id in ("", run_id):
                    yield parts
                continue
            try:
                self._run_id, self._awaited = wire.decode_greeting(parts), run_id
            except wire.WireError as error:
                refused(f"what came from {self.endpoint} was not understood: {error}")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close(0)


class Line:
    """A desk that is called, and what it says to subscribe to; it belongs to one thread.

    Parameters
    ----------
    context, endpoint, keys
        Of the desk.
    pictures
        Whether to subscribe to pictures.

    Raises
    ------
    StreamError
        If the endpoint cannot be called.
    """

    def __init__(self, context: Context, endpoint: str, keys: Keys | None, *, pictures: bool) -> None:
        self.endpoint = endpoint
        self._context, self._keys = context, keys
        self._with_pictures = pictures
        # It asks twice a second anyway; and a heartbeat is what the desk must not have to answer, see there.
        self.desk = make_socket(context, zmq.DEALER, heartbeats=False)
        self.desk.maxmsgsize = MAX_REPLY_BYTES
        self.desk.sndhwm = QUEUE_REQUESTS
        self.desk.immediate = True  # nothing is kept for a desk that is not there
        self._watch = Watch(self.desk)
        try:
            connect(self.desk, endpoint, keys)
        except StreamError:
            self._watch.close()
            raise
        self.results: Subscription | None = None
        self.pictures: Subscription | None = None

    def say(self, request: wire.Request) -> bool:
        """Send; False where nobody is there."""
        try:
            self.desk.send_multipart(wire.encode_desk(request), flags=zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def replies(self, refused: Callable[[str], None]) -> Iterator[wire.Reply]:
        """What the desk has said."""
        for _ in range(READ_AT_ONCE):
            try:
                yield wire.decode_reply(self.desk.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            except wire.WireError as error:
                refused(f"what came from {self.endpoint} was not understood: {error}")

    def subscribe(self, report: wire.Report) -> None:
        """Hear results and pictures where a report says that they are.

        Raises
        ------
        StreamError
            If it says nonsense.
        """
        topics = (wire.RESULT_TOPIC, wire.TRIGGER_TOPIC, wire.OVER_TOPIC)
        self.results = self._moved(self.results, report.results, topics, QUEUE_RESULTS)
        if self._with_pictures:
            self.pictures = self._moved(self.pictures, report.pictures, (wire.FRAME_TOPIC,), QUEUE_PICTURES)

    def _moved(
        self, now: Subscription | None, told: str, topics: tuple[bytes, ...], queue: int
    ) -> Subscription:
        endpoint = beside(self.endpoint, told)
        if now is not None:
            if now.endpoint == endpoint:
                return now  # it connects again by itself
            now.close()
        return Subscription(self._context, endpoint, self._keys, topics, queue)

    def refusal(self) -> str:
        """Why the desk will not let us in, in words; empty while it may."""
        why = self._watch.refusal()
        return REFUSALS.get(why, why)

    def sockets(self, run_id: str | None) -> list[Socket]:
        """Those to wait at for news of a run."""
        subscriptions = [one for one in (self.results, self.pictures) if one and not one.is_held(run_id)]
        return [self.desk, *(one.socket for one in subscriptions)]

    def close(self) -> None:
        """Close the sockets."""
        self._watch.close()
        with suppress(zmq.ZMQError):
            self.desk.close(0)
        for subscription in (self.results, self.pictures):
            if subscription is not None:
                subscription.close()
