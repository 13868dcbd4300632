"""The real client and the real window, called by somebody who speaks nonsense before he speaks sense."""

import time

import pytest
import zmq
from PySide6 import QtWidgets

from dashboard.controllers.dashboard import Dashboard
from dashboard.controllers.memory import Memory
from dashboard.views.window import DashboardWindow
from stream import wire
from stream.transport.sockets import bind, make_socket
from stream.watch.client import Watcher
from stream.wire.envelope import VERSION, encoder, sealed

pytestmark = pytest.mark.timeout(90)
OLD = sealed([encoder.encode({"type": "Report", "version": VERSION - 1})])


class Liar:
    """A desk and two publishers by hand."""

    def __init__(self, ports=("*", "*", "*")):
        self.context = zmq.Context()
        self.desk, self.results, self.pictures = (
            make_socket(self.context, kind) for kind in (zmq.ROUTER, zmq.PUB, zmq.PUB)
        )
        self.endpoints = [
            bind(socket, f"tcp://127.0.0.1:{port}")
            for socket, port in zip((self.desk, self.results, self.pictures), ports, strict=True)
        ]

    def answer(self, parts):
        """Answer every question that has come."""
        while self.desk.poll(0):
            who = self.desk.recv_multipart()[0]
            self.desk.send_multipart([who, *parts])

    def publish(self, run_id, *messages):
        for socket in (self.results, self.pictures):
            socket.send_multipart([wire.encode_greeting(run_id)])
            for parts in messages:
                socket.send_multipart(parts)

    def close(self):
        self.context.destroy(0)


@pytest.fixture
def window(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("PIEZO1_SETTINGS", str(tmp_path / "settings.ini"))
    monkeypatch.setenv("PIEZO1_RUNS", str(tmp_path))
    window = DashboardWindow()
    qtbot.addWidget(window)
    window.show()
    return window


def test_garbage_on_all_three_sockets_then_a_run_and_another_one_there(
    window, make_session, make_health, make_result, make_picture
):
    liar = Liar()
    result = [bytes(part) for part in wire.encode_result(make_result(0, 3))]
    picture = [bytes(part) for part in wire.encode_frame(make_picture(0, shape=(2, 64, 64)), 0)]
    nonsense = [
        [b"result"], [b"frame", b"\xff" * 50], result[:-1], [result[0], result[1][:-9], result[2]],
        [b"result", b"\x80", b"\x80"], [b"over", b""], [b"trigger"], [picture[0], b"x", *picture[2:]],
        [b"", b""], sealed([b"result", encoder.encode({"type": "ResultMessage", "version": VERSION - 1})]),
    ]  # fmt: skip
    said, number, say = [], iter(range(10**6)), window.say
    window.say = lambda text: (said.append(text), say(text))
    with Watcher(liar.endpoints[0], pictures=True) as watcher:
        dashboard = Dashboard(watcher, window, Memory())

        def until(holds, reply, run_id="", *messages):
            deadline = time.monotonic() + 20
            while not holds():
                assert time.monotonic() < deadline, (window.health.said(), said)
                liar.answer(reply() if callable(reply) else reply)
                if messages:
                    liar.publish(run_id, *messages)
                dashboard.tick()
                QtWidgets.QApplication.processEvents()
                time.sleep(0.01)

        def report(run_id, **fields):
            values = {"stage": "running", "doing": "", "clock_ns": time.time_ns(), "health": make_health()}
            where = {"results": liar.endpoints[1], "pictures": liar.endpoints[2]}
            session = make_session(**fields)
            told = wire.Report(next(number), run_id, session=session, **where, **values)
            return [bytes(part) for part in wire.encode_desk(told)]

        def was_said(words):
            return lambda: any(words in sentence for sentence in said)

        until(was_said("not understood"), [b"\x00", b"hello", b""])
        until(was_said("update the older side"), OLD)
        assert dashboard.watched.link.state == "calling"
        absurd = report("absurd", interval_s=float("nan"))
        until(was_said("interval_s"), absurd)

        def first():
            return report("first")

        until(lambda: dashboard.watched.link.state == "watching", first)
        until(was_said("a message of the run was not understood"), first, "first", *nonsense)
        assert dashboard.scene is None
        until(lambda: dashboard.scene is not None, first, "first", result, *nonsense)
        until(lambda: dashboard.scene.picture is not None, first, "first", picture, *nonsense)
        assert window.images.scene.seq == 0

        # The address stays; the next run has one channel and larger frames.
        ports = [endpoint.rpartition(":")[2] for endpoint in liar.endpoints]
        liar.close()
        liar = Liar(ports)

        def second():
            return report("second", name="the next", shape=(1, 96, 80), has_calcium=False)

        newer = wire.encode_frame(make_picture(4, shape=(1, 96, 80)), 0)
        messages = [wire.encode_result(make_result(4, 2)), newer]
        until(lambda: "the next" in window.windowTitle(), second)
        until(
            lambda: dashboard.scene is not None and dashboard.scene.picture is not None,
            second,
            "second",
            *messages,
        )
        assert dashboard.scene.picture.shape == (1, 96, 80) and dashboard.scene.seq == 4
    liar.close()
