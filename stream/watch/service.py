"""What a running analysis does for dashboards; whatever fails in here, the run goes on."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread

from msgspec.structs import replace

from acquire.frame import Frame
from model.engines.base import ModelError, Threshold
from stream import wire
from stream.analysis import Analysis
from stream.missing import Missing
from stream.problems import in_words
from stream.record.recorder import Recorder
from stream.results import StreamError
from stream.status import Note, StatusSender
from stream.transport.receiver import FrameReceiver
from stream.watch.announce import announce, withdraw
from stream.watch.desk import Desk, Wish
from stream.watch.health import Gauges
from stream.watch.outlets import Outlets
from stream.watch.wishes import Wishes
from stream.wire.desk import Stage

HEALTH_EVERY_S = 0.25
# When nobody has looked for a while, whether somebody does is asked now and then: it costs 0.1 ms each time.
UNWATCHED_S, LOOK_EVERY_S = 1.0, 0.1
KEPT_FRAMES = 32  # whose results are not out yet: more than any engine owes


class Watching:
    """Tells dashboards how a run goes on, and does what their users want.

    Its methods belong to the analysis' thread. None raises, and none waits for a disk, a driver or a
    dashboard: with the first thing that fails dashboards are left alone, and the user is told.

    Parameters
    ----------
    outlets
        Open sockets; whoever opened them closes them.
    folder
        Run folder.
    keys
        Folder of the keys that dashboards need; None where they need none.
    status
        Hears what fails.

    Attributes
    ----------
    endpoint
        Where dashboards call; empty where they cannot.
    """

    def __init__(self, outlets: Outlets, folder: Path, keys: Path | None, status: StatusSender) -> None:
        self._desk, self._pictures = outlets.desk, outlets.pictures
        self._status = status
        self._announcement: Path | None = None
        self._frames: dict[int, Frame] = {}  # whose results are not out yet
        self._going: _Going | None = None
        self._tell_at_s = self._look_at_s = self._shown_s = 0.0
        self.endpoint = self._desk.endpoint if self._desk is not None else ""
        if self._desk is not None:
            try:
                self._announcement = announce(self.endpoint, folder.name, folder, keys)
            except StreamError as error:
                status.say(Note(str(error)))

    def doing(self, stage: Stage, text: str) -> None:
        """Say what the analysis does from now on, as a word and in a sentence."""
        desk = self._desk
        if desk is not None:
            self._try(lambda: desk.doing(stage, text))

    def begin(
        self, session: wire.Session, analysis: Analysis, recorder: Recorder, receiver: FrameReceiver
    ) -> None:
        """The run begins: from now on its health is told and wishes are taken."""
        desk = self._desk
        if desk is None:
            return

        def do() -> None:
            self._going = _Going(session, analysis, recorder, receiver)
            desk.begin(session)

        self._try(do)

    def take(self, frame: Frame) -> None:
        """Take note of a frame that is about to be analysed."""
        if self._going is None:
            return
        self._going.wishes.came(frame.seq, frame.time_s)
        self._frames[frame.seq] = frame
        if len(self._frames) > KEPT_FRAMES:
            del self._frames[next(iter(self._frames))]

    def show(self, seq: int) -> None:
        """Send the picture of a frame whose result was just published, if anybody wants one now."""
        frame, pictures = self._frames.pop(seq, None), self._pictures
        if frame is None or pictures is None:
            return

        now_s = time.monotonic()
        if now_s < self._look_at_s:
            return

        def do() -> None:
            if pictures.wanted(now_s):
                self._shown_s = now_s
                pictures.send(frame)
            elif now_s - self._shown_s > UNWATCHED_S:
                self._look_at_s = now_s + LOOK_EVERY_S

        self._try(do)

    def serve(self, n_out: int) -> None:
        """Do what users want, and tell how the run goes on; call it between frames and in pauses.

        `n_out` counts the frames with a result.
        """
        going = self._going
        if going is not None:
            self._try(lambda: self._serve(going, n_out))

    def finishing(self, text: str, n_out: int) -> None:
        """No more frames come: tell a last time how the run went, and refuse what users want from now on."""
        self.doing("finishing", text)
        self._tell_at_s = 0.0
        self.serve(n_out)

    def last_health(self, n_out: int, missing: Mapping[str, int]) -> wire.Health | None:
        """How things are when all is written, `missing` as recorded; None where nobody can look."""
        going = self._going
        if going is None or self._desk is None:
            return None
        try:
            return replace(going.health(n_out), missing=dict(missing), waiting=0)
        except Exception:  # dashboards are not worth a run
            return None

    def close(self) -> None:
        """Withdraw the announcement, and stop looking at disk and GPU."""
        if self._announcement is not None:
            withdraw(self._announcement)
        if self._going is not None:
            self._going.gauges.close()

    def _serve(self, going: "_Going", n_out: int) -> None:
        desk = self._desk
        if desk is None:
            return
        answers: list[tuple[Wish, bool, str, int]] = []
        for wish in desk.wishes():
            try:
                granted = going.wishes.grant(wish.request)
            except (StreamError, ModelError) as error:
                answers.append((wish, False, str(error), going.analysis.first_open_seq))
            else:
                answers.append((wish, True, granted.text, granted.seq))
        now_s = time.monotonic()
        # Whoever gets an answer may look at once what came of it. Until the disk has answered, nobody shall
        # read that it is full.
        if (answers or now_s >= self._tell_at_s) and going.gauges.is_known:
            self._tell_at_s = now_s + HEALTH_EVERY_S
            desk.update(going.health(n_out))
            for text in (*desk.notes(), *going.news()):
                self._status.say(Note(text))
        for answer in answers:
            desk.answer(*answer)

    def _try(self, do: Callable[[], object]) -> None:
        """Do something for dashboards; if it fails, nothing more is done for them."""
        desk = self._desk
        if desk is None:
            return
        try:
            do()
        except Exception as error:
            self._desk = self._pictures = None
            self._frames.clear()
            why = in_words(error, "desk")
            self._status.say(Note(f"dashboards are left alone from now on, the run goes on: {why}"))
            Thread(target=_close, args=(desk,), name="close the desk", daemon=True).start()


class _Going:
    """What is told and asked while a run goes on."""

    def __init__(
        self, session: wire.Session, analysis: Analysis, recorder: Recorder, receiver: FrameReceiver
    ) -> None:
        self.analysis = analysis
        self.wishes = Wishes(analysis, recorder.remarks)
        self.gauges = Gauges(recorder.folder, session.engine)
        self._recorder = recorder
        self._receiver = receiver
        self._missing = Missing(receiver)
        self._told_problem = ""

    def health(self, n_out: int) -> wire.Health:
        """How the run goes on."""
        receiver, gauges, analysis = self._receiver, self.gauges, self.analysis
        gauges.uses_gpu = analysis.uses_gpu
        n_sent = max(receiver.sent, receiver.n_came)  # it says that a few times a second only
        return wire.Health(
            n_out=n_out,
            n_sent=n_sent,
            waiting=max(0, min(receiver.waiting, n_sent - n_out)),  # some have their result since it spoke
            missing=self._missing.so_far(),
            recorded=self._recorder.n_recorded,
            run_bytes=gauges.run_bytes,
            disk_free_bytes=gauges.disk_free_bytes,
            gpu=gauges.gpu,
            detection=_dial(analysis.detection),
            calcium=_dial(analysis.calcium) if analysis.calcium is not None else None,
            log=list(self.wishes.log),
        )

    def news(self) -> list[str]:
        """Sentences for the user since the last call."""
        problem = self._recorder.remarks.problem
        is_new, self._told_problem = problem != self._told_problem, problem
        return [problem] if problem and is_new else []


def _dial(threshold: Threshold) -> wire.Dial:
    return wire.Dial(threshold.value, threshold.low, threshold.high, threshold.unit)


def _close(desk: Desk) -> None:
    with suppress(Exception):
        desk.close()
