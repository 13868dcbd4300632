"""The analysis' side of dashboards: tells how things are, and takes in what their users want."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread

import zmq

from stream import wire
from stream.transport.bell import Bell
from stream.transport.gate import Gate
from stream.transport.sockets import LAST_WORD_MS, Context, bind, make_socket
from stream.wire.desk import Stage

MAX_REQUEST_BYTES = 16384  # the longest annotation has a quarter of that
MAX_WAITING = 64  # wishes; more are refused until the analysis has taken some
TAKEN_AT_ONCE = 4  # so that no frame is held up by many wishes
# A dashboard asks twice a second. A flood gets no more of this process' time than this many at a time.
SERVED_AT_ONCE, REST_S = 20, 0.05
QUEUE_REQUESTS, QUEUE_REPLIES = 100, 20  # for each dashboard
CLOSE_S = 2.0
MAX_NOTES = 20  # strangers may come with ever new keys
OVER = "the run is over"
ENDING, ENDING_ALREADY = "the run is ending", "the run is ending already"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants of the analysis, who asked, and the number under which the desk knows it."""

    request: wire.Adjust | wire.Annotate
    who: bytes
    ticket: int


class Desk:
    """Answers dashboards in a thread of its own, and keeps their wishes for the analysis.

    Nothing that a dashboard does holds the analysis up: it leaves word here and takes wishes between frames.
    The end of the run is passed on at once, as the analysis may be building an engine for minutes. All
    methods may be called from any thread.

    Parameters
    ----------
    context, endpoint
        Where it listens.
    run_id, results, pictures
        For `wire.Report`.
    end
        Ends the run; called in the desk's thread, once.
    gate
        For dashboards on other computers.

    Attributes
    ----------
    endpoint
        Where it listens, with its real port.
    n_garbage
        Messages that were no requests of this version.

    Raises
    ------
    StreamError
        If the endpoint cannot be bound, or other computers could reach it in the clear.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        run_id: str,
        results: str,
        pictures: str,
        end: Callable[[], None],
        gate: Gate | None = None,
    ) -> None:
        self._run_id, self._results, self._pictures = run_id, results, pictures
        self._end, self._is_ending = end, False
        self._gate = gate
        # No heartbeats: at a connection that died while its queue was full, they abort libzmq 4.3.5.
        self._socket = make_socket(context, zmq.ROUTER, heartbeats=False)
        self._socket.maxmsgsize = MAX_REQUEST_BYTES
        self._socket.rcvhwm, self._socket.sndhwm = QUEUE_REQUESTS, QUEUE_REPLIES
        self.endpoint = bind(self._socket, endpoint, gate)
        self._lock = Lock()
        self._stage: Stage = "waiting"
        self._doing = "waiting for the source"
        self._session: wire.Session | None = None
        self._health: wire.Health | None = None
        self._waiting: deque[Wish] = deque()
        self._unanswered: dict[int, Wish] = {}
        self._answers: deque[tuple[bytes, wire.Answer]] = deque()
        self._notes: list[str] = []
        self._told: set[str] = set()
        self._n_wishes = 0
        self.n_garbage = 0
        self._over = Event()
        self._bell = Bell(context)
        self._thread = Thread(target=self._run, name="desk", daemon=True)
        self._thread.start()

    def doing(self, stage: Stage, text: str) -> None:
        """Say what the analysis does from now on, as a word and in a sentence."""
        with self._lock:
            self._stage, self._doing = stage, text[: wire.MAX_TEXT]

    def begin(self, session: wire.Session) -> None:
        """The analysis is ready for frames of this session: from now on all wishes are taken."""
        with self._lock:
            self._session = session

    def update(self, health: wire.Health) -> None:
        """Say how the run goes on; cheap."""
        with self._lock:
            self._health = health

    def wishes(self) -> list[Wish]:
        """The next few wishes; never waits, and costs next to nothing where there are none."""
        if not self._waiting:
            return []
        with self._lock:
            return [self._waiting.popleft() for _ in range(min(TAKEN_AT_ONCE, len(self._waiting)))]

    def answer(self, wish: Wish, ok: bool, text: str, seq: int) -> None:
        """Tell whoever asked what came of a wish, and the first frame that it may concern; once for each."""
        with self._lock:
            if self._unanswered.pop(wish.ticket, None) is None:
                return
            answer = wire.Answer(wish.request.number, ok, text[: wire.MAX_TEXT], seq)
            self._answers.append((wish.who, answer))
        self._bell.ring()

    def notes(self) -> list[str]:
        """Sentences for the user, each once: on callers that were refused or spoke nonsense."""
        with self._lock:
            notes, self._notes = self._notes, []
        notes += self._gate.refused() if self._gate else []
        new = [note for note in dict.fromkeys(notes) if note not in self._told]
        new = new[: MAX_NOTES - len(self._told)]  # who is refused calls again and again, all night
        self._told.update(new)
        return new

    def close(self) -> None:
        """Refuse the wishes that are left, and close; takes two seconds at most."""
        self._over.set()
        self._bell.ring()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._socket, self._bell.socket):
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._over.is_set():
                poller.poll()
                self._bell.hush()
                is_flooded = self._serve()
                self._send_answers()
                if is_flooded:
                    self._over.wait(REST_S)
            self._serve()
            self._refuse_the_rest()
            self._send_answers()
        except zmq.ZMQError:
            pass  # the context was ended under it, as where a run gives its dashboards up
        finally:
            self._socket.close(linger=LAST_WORD_MS)
            self._bell.close()

    def _serve(self) -> bool:
        """Read what has come; True where there may be more."""
        for _ in range(SERVED_AT_ONCE):
            try:
                who, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            try:
                self._take(who, parts)
            except wire.WireError as error:
                self.n_garbage += 1
                # One of another version learns so from this.
                self._send(who, wire.Answer(0, False, str(error)[: wire.MAX_TEXT], 0))
                if self.n_garbage == 1:
                    self._note(f"somebody called where dashboards call, and was not understood: {error}")
            except Exception as error:  # dashboards are not worth a run
                self._note(f"a dashboard cannot be answered: {type(error).__name__}: {error}")
        return True

    def _take(self, who: bytes, parts: Sequence[bytes]) -> None:
        request = wire.decode_request(parts)
        if isinstance(request, wire.Ask):
            self._send(who, self._report(request.number))
        elif isinstance(request, wire.EndRun):
            self._send(who, self._end_run(request.number))
        else:
            self._keep(who, request)

    def _end_run(self, number: int) -> wire.Answer:
        refusal = self._too_late()
        if refusal:
            return wire.Answer(number, False, refusal, 0)
        if self._is_ending:
            return wire.Answer(number, True, ENDING_ALREADY, 0)
        self._end()
        self._is_ending = True
        return wire.Answer(number, True, ENDING, 0)

    def _keep(self, who: bytes, request: wire.Adjust | wire.Annotate) -> None:
        """Keep a wish for the analysis, or say why not."""
        with self._lock:
            refusal = self._refusal()
            if not refusal:
                wish = Wish(request, who, self._n_wishes)
                self._n_wishes += 1
                self._unanswered[wish.ticket] = wish
                self._waiting.append(wish)
        if refusal:
            self._send(who, wire.Answer(request.number, False, refusal, 0))

    def _report(self, number: int) -> wire.Report:
        with self._lock:
            return wire.Report(
                number,
                self._run_id,
                self._stage,
                self._doing,
                time.time_ns(),
                self._results,
                self._pictures,
                self._session,
                self._health,
            )

    def _refusal(self) -> str:
        """Why the analysis can take no wish now; empty where it can."""
        if late := self._too_late():
            return late
        if self._session is None:
            return f"the run has not begun yet: {self._doing}"[: wire.MAX_TEXT]
        if len(self._unanswered) >= MAX_WAITING:
            return f"{len(self._unanswered)} wishes are waiting already"
        return ""

    def _too_late(self) -> str:
        """Why no wish of any kind is taken; empty as long as frames may come."""
        if self._over.is_set():
            return OVER
        return "the run is being finished" if self._stage == "finishing" else ""

    def _refuse_the_rest(self) -> None:
        with self._lock:
            for wish in self._unanswered.values():
                self._answers.append((wish.who, wire.Answer(wish.request.number, False, OVER, 0)))
            self._unanswered.clear()
            self._waiting.clear()

    def _send_answers(self) -> None:
        while self._answers:
            self._send(*self._answers.popleft())

    def _send(self, who: bytes, reply: wire.Reply) -> None:
        # A dashboard that is gone, or does not read, does without.
        with suppress(zmq.ZMQError):
            self._socket.send_multipart([who, *wire.encode_desk(reply)], flags=zmq.NOBLOCK)

    def _note(self, text: str) -> None:
        with self._lock:
            if text not in self._notes and len(self._notes) < MAX_NOTES:
                self._notes.append(text)
