"""A source that images now, published through real sockets."""

import time
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest

from acquire.frame import Frame, SourceError, SourceInfo
from acquire.live import HOOK_QUEUE, NewestQueue
from stream.process import job_endpoints
from stream.publisher import OVER, STOPPED, Publisher
from stream.source_stop import stopping
from stream.status import SourceProgress
from stream.transport.receiver import FrameReceiver
from stream.transport.sender import FrameSender

INFO = SourceInfo("fake", (2, 4, 6), None, 0.01, 108.0, 16, "a camera that a test holds")


class FakeCamera:
    """A live source whose frames a test puts into its queue."""

    info = INFO

    def __init__(self, size=100):
        self.queue = NewestQueue(size)

    def frames(self):
        return iter(self.queue)

    @property
    def losses(self):
        return {HOOK_QUEUE: self.queue.lost} if self.queue.lost else {}

    @property
    def figures(self):
        return {"hook_p99_ms": 0.02}

    def stop(self):
        self.queue.close()

    close = stop

    def act(self, action):
        raise SourceError("nothing can be done here")

    def arrived_ns(self, seq):
        return self.queue.arrived_ns(seq)

    def image(self, seq):
        pixels = np.full(INFO.shape, seq, np.uint16)
        self.queue.put(Frame(seq, seq / 100, pixels, arrived_ns=time.time_ns()))


@pytest.fixture(params=["inproc", "tcp"])
def published(request, tmp_path):
    """A camera with its publisher and the analysis' receiver at the other end."""
    import zmq

    context, stop = zmq.Context(), Event()
    camera, heard, problems = FakeCamera(), [], []
    endpoints = job_endpoints(request.param, str(tmp_path)).stream()
    sender = FrameSender(context, endpoints, "live")
    receiver = FrameReceiver(context, sender.endpoints, "live", Event())
    status = SimpleNamespace(say=heard.append)

    def publish():
        with stopping(camera, stop):
            problems.append(Publisher(camera, sender, "max", status, stop).run())

    thread = Thread(target=publish)
    thread.start()
    assert receiver.start() == INFO
    yield SimpleNamespace(
        camera=camera, stop=stop, receiver=receiver, heard=heard, problems=problems, thread=thread
    )
    camera.queue.close()
    thread.join(10)
    receiver.close()
    sender.close()
    context.term()
    assert not thread.is_alive()


def receive(receiver, n):
    return [receiver.receive() for _ in range(n)]


@pytest.mark.timeout(30)
def test_a_stop_ends_a_camera_that_is_silent(published):
    taken = Thread(target=lambda: published.problems.append(published.receiver.receive()))
    taken.start()
    time.sleep(0.3)
    began = time.monotonic()
    published.stop.set()
    taken.join(10)
    assert time.monotonic() - began < 2
    assert published.receiver.end.reason == STOPPED and published.receiver.end.n_frames == 0


@pytest.mark.timeout(30)
def test_frames_arrive_with_the_time_of_their_last_pixel_and_the_end_with_figures(published):
    published.heard.clear()
    done = []
    taken = Thread(target=lambda: done.extend(receive(published.receiver, 3)))
    taken.start()
    time.sleep(0.3)  # until the analysis has said that it is prepared
    for seq in range(2):
        published.camera.image(seq)
        time.sleep(0.25)
    published.camera.queue.close()
    taken.join(10)
    assert [a.frame.seq for a in done[:2]] == [0, 1] and done[2] is None
    assert all(a.origin_ns == a.frame.arrived_ns <= a.sent_ns for a in done[:2])
    end = published.receiver.end
    assert (end.reason, end.n_frames, end.figures) == (OVER, 2, {"hook_p99_ms": 0.02})
    assert SourceProgress(1, {}) in published.heard


@pytest.mark.timeout(30)
def test_what_a_stopped_camera_still_has_is_sent_even_when_that_takes_waiting():
    camera, stop, ends = FakeCamera(), Event(), []

    def send(frame, give_up):
        """A lossless socket without room gives up when it is told to."""
        if give_up.is_set():
            return False
        sender.n_sent += 1
        stop.set()
        camera.queue.close()
        return True

    sender = SimpleNamespace(
        n_sent=0,
        is_called_off=False,
        start=lambda *_: True,
        send=send,
        finish=lambda *words: ends.append(words),
    )
    for seq in range(5):
        camera.image(seq)
    status = SimpleNamespace(say=lambda message: None)
    assert Publisher(camera, sender, "max", status, stop).run() == ""
    assert ends[0][:3] == (5, {}, STOPPED) and sender.n_sent == 5


@pytest.mark.timeout(30)
def test_a_camera_that_fails_ends_the_stream_with_its_sentence_and_all_frames(published):
    done = []
    taken = Thread(target=lambda: done.extend(receive(published.receiver, 3)))
    taken.start()
    time.sleep(0.3)
    for seq in (0, 3):  # two were lost in the queue
        published.camera.image(seq)
        time.sleep(0.05)
    published.camera.queue.lost = 2
    published.camera.queue.close(SourceError("the camera does not answer"))
    taken.join(10)
    assert [(a.frame.seq, a.missing_before) for a in done[:2]] == [(0, 0), (3, 2)]
    end = published.receiver.end
    assert (end.problem, end.n_frames, end.losses) == ("the camera does not answer", 4, {HOOK_QUEUE: 2})
    published.thread.join(10)
    assert published.problems[-1] == "the camera does not answer"
