"""The analysis' side of dashboards: who is answered, and that nobody can hold it up."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from threading import Event, Thread

import pytest
import zmq

from stream import wire
from stream.config import ConfigError
from stream.dashboards import dashboard_endpoints, dashboard_keys
from stream.load import load_config
from stream.process import job_endpoints
from stream.results import StreamError
from stream.transport.gate import Gate
from stream.transport.keys import load_host_keys, load_keys, make_keys
from stream.transport.sockets import bind, connect, make_socket
from stream.watch.desk import MAX_WAITING, TAKEN_AT_ONCE, Desk

pytestmark = pytest.mark.timeout(60)

TCP = "tcp://127.0.0.1:*"
SESSION = wire.Session(
    "cell", "a test", "replay", "runs/x", "here", (2, 64, 64), None, 0.01, 108.0, 16, "live", True, None,
    "wavelet", "", [],
)  # fmt: skip
HEALTH = wire.Health(5, 6, 1, {}, 5, 9, 9, None, wire.Dial(0.5, 0, 1, "probability"), None, [])


class Caller:
    """A dashboard's socket, bare."""

    def __init__(self, context, endpoint, keys=None):
        self.socket = make_socket(context, zmq.DEALER, heartbeats=False)
        connect(self.socket, endpoint, keys)

    def say(self, request):
        self.socket.send_multipart(wire.encode_desk(request))

    def say_if_let(self, request):
        with suppress(zmq.Again):  # refused already
            self.socket.send_multipart(wire.encode_desk(request), zmq.NOBLOCK)

    def hear(self, timeout_s=5.0):
        assert self.socket.poll(timeout_s * 1000), "nobody answered"
        return wire.decode_reply(self.socket.recv_multipart())


class Office:
    """A desk, and callers that are closed in the end."""

    def __init__(self, gate_keys=None):
        self.here, self.there = zmq.Context(), zmq.Context()
        self.callers = []
        self.gate = Gate(self.here, gate_keys) if gate_keys else None
        self.ended = []
        places = "tcp://127.0.0.1:1", "tcp://127.0.0.1:2"
        self.desk = Desk(self.here, TCP, "run-1", *places, lambda: self.ended.append(True), self.gate)

    def caller(self, keys=None):
        self.callers.append(Caller(self.there, self.desk.endpoint, keys))
        return self.callers[-1]

    def begin(self):
        self.desk.begin(SESSION)
        self.desk.doing("running", "analysing")

    def wishes(self, n, timeout_s=5.0):
        """The next `n` wishes."""
        found, deadline = [], time.monotonic() + timeout_s
        while len(found) < n and time.monotonic() < deadline:
            found += self.desk.wishes()
            time.sleep(0.005)
        assert len(found) == n
        return found


@contextmanager
def an_office(gate_keys=None):
    office = Office(gate_keys)
    try:
        yield office
    finally:
        office.desk.close()
        if office.gate:
            office.gate.close()
        for caller in office.callers:
            caller.socket.close(0)
        office.there.term()
        office.here.term()  # waits for ever when a socket was left open


@pytest.fixture
def office():
    with an_office() as office:
        yield office


def test_who_asks_early_hears_what_is_being_done(office):
    office.desk.doing("preparing", "building the engine")
    caller = office.caller()
    before_ns = time.time_ns()
    caller.say(wire.Ask(7))
    report = caller.hear()
    assert (report.number, report.run_id, report.stage) == (7, "run-1", "preparing")
    assert report.doing == "building the engine"
    assert (report.results, report.pictures) == ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    assert report.session is None and report.health is None
    assert before_ns <= report.clock_ns <= time.time_ns()


def test_who_asks_late_learns_everything_at_once(office):
    office.begin()
    office.desk.update(HEALTH)
    caller = office.caller()
    caller.say(wire.Ask(1))
    report = caller.hear()
    assert (report.session, report.health, report.stage) == (SESSION, HEALTH, "running")


def test_questions_are_answered_while_the_analysis_is_busy(office):
    """An engine is built for minutes: here the analysis' thread computes and never calls the desk."""
    over = Event()

    def busy():
        while not over.is_set():
            sum(range(1000))

    analysis = Thread(target=busy)
    analysis.start()
    caller = office.caller()
    caller.say(wire.Ask(0))
    caller.hear()  # connected
    waits = []
    for number in range(1, 11):
        began = time.monotonic()
        caller.say(wire.Ask(number))
        assert caller.hear().number == number
        waits.append(time.monotonic() - began)
    over.set()
    analysis.join()
    assert sorted(waits)[5] < 0.2


def test_a_wish_is_taken_and_answered(office):
    office.begin()
    caller = office.caller()
    for request in (
        wire.Adjust(1, "detection", 0.4),
        wire.Annotate(2, "a bleb", 12, 1.5, 2.5),
    ):
        caller.say(request)
        (wish,) = office.wishes(1)
        assert wish.request == request
        office.desk.answer(wish, True, "done", 13)
        assert caller.hear() == wire.Answer(request.number, True, "done", 13)
    assert office.desk.wishes() == []


def test_an_answer_is_on_its_way_at_once(office):
    """Not when the thread happens to look the next time."""
    office.begin()
    caller = office.caller()
    for number in range(5):
        caller.say(wire.Annotate(number, "x", 0))
        (wish,) = office.wishes(1)
        time.sleep(0.1)
        began = time.monotonic()
        office.desk.answer(wish, True, "done", 0)
        caller.hear()
        if time.monotonic() - began < 0.05:
            return
    pytest.fail("five answers took more than 50 ms each")


def test_equal_numbers_of_two_dashboards_do_not_mix(office):
    office.begin()
    first, second = office.caller(), office.caller()
    first.say(wire.Adjust(1, "detection", 0.1))
    wishes = office.wishes(1)
    second.say(wire.Adjust(1, "detection", 0.2))
    wishes += office.wishes(1)
    for wish in reversed(wishes):
        office.desk.answer(wish, True, f"{wish.request.value:g}", 0)
    assert (first.hear().text, second.hear().text) == ("0.1", "0.2")


def test_a_wish_is_answered_once(office):
    office.begin()
    caller = office.caller()
    caller.say(wire.Annotate(1, "x", 0))
    (wish,) = office.wishes(1)
    office.desk.answer(wish, True, "first", 0)
    office.desk.answer(wish, False, "second", 0)
    assert caller.hear().text == "first"
    assert not caller.socket.poll(100)


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda desk: desk.doing("preparing", "building the engine"), "not begun yet: building the engine"),
        (lambda desk: (desk.begin(SESSION), desk.doing("finishing", "writing tables")), "being finished"),
    ],
)
def test_a_wish_outside_of_the_run_is_refused_in_a_sentence(office, prepare, sentence):
    prepare(office.desk)
    caller = office.caller()
    caller.say(wire.Adjust(4, "detection", 0.4))
    answer = caller.hear()
    assert (answer.number, answer.ok) == (4, False) and sentence in answer.text
    assert office.desk.wishes() == []


@pytest.mark.parametrize("stage", ["waiting", "preparing", "running"])
def test_the_end_of_the_run_is_asked_for_at_any_time_and_once(office, stage):
    """Also where the analysis takes no wishes: an engine may be built for minutes."""
    if stage == "running":
        office.begin()
    office.desk.doing(stage, "doing something")
    caller, other = office.caller(), office.caller()
    for number, text in enumerate(("the run is ending", "the run is ending already"), start=1):
        caller.say(wire.EndRun(number))
        assert caller.hear() == wire.Answer(number, True, text, 0)
    other.say(wire.EndRun(1))
    assert other.hear().ok
    assert office.ended == [True] and office.desk.wishes() == []


def test_a_run_that_is_being_finished_is_not_ended(office):
    office.begin()
    office.desk.doing("finishing", "writing the tables")
    caller = office.caller()
    caller.say(wire.EndRun(1))
    assert caller.hear() == wire.Answer(1, False, "the run is being finished", 0)
    assert not office.ended


def test_what_is_left_is_refused_when_the_run_is_over(office):
    office.begin()
    caller = office.caller()
    for number in range(6):
        caller.say(wire.Annotate(number, "x", 0))
    taken = office.wishes(TAKEN_AT_ONCE)
    began = time.monotonic()
    office.desk.close()
    assert time.monotonic() - began < 2
    answers = [caller.hear() for _ in range(6)]
    assert {answer.number for answer in answers} == set(range(6))
    assert all(not answer.ok and answer.text == "the run is over" for answer in answers)
    office.desk.answer(taken[0], True, "too late", 0)  # no harm is done


def test_texts_that_are_too_long_are_cut(office):
    office.desk.doing("preparing", "x" * 10_000)
    caller = office.caller()
    caller.say(wire.Ask(1))
    assert len(caller.hear().doing) == wire.MAX_TEXT
    caller.say(wire.Annotate(2, "x", 0))
    assert len(caller.hear().text) == wire.MAX_TEXT
    office.begin()
    caller.say(wire.Annotate(3, "x", 0))
    (wish,) = office.wishes(1)
    office.desk.answer(wish, False, "y" * 10_000, 0)
    assert len(caller.hear().text) == wire.MAX_TEXT


@pytest.mark.parametrize(
    "parts",
    [[b""], [b"hello"], [os.urandom(300)] * 3, [bytes(part) for part in wire.encode_desk(wire.Ask(1, 99))]],
)
def test_nonsense_is_told_once_and_harms_nobody(office, parts):
    caller, other = office.caller(), office.caller()
    for _ in range(3):
        caller.socket.send_multipart(parts)
    refusals = [caller.hear() for _ in range(3)]  # a dashboard of another version reads why
    assert all(refusal.number == 0 and not refusal.ok and refusal.text for refusal in refusals)
    other.say(wire.Ask(5))
    assert other.hear().number == 5
    assert office.desk.n_garbage == 3
    (note,) = office.desk.notes()
    assert "was not understood" in note
    assert office.desk.notes() == []


def test_a_huge_request_is_dropped_with_its_connection(office):
    caller, other = office.caller(), office.caller()
    caller.socket.send_multipart([bytes(1_000_000)])
    other.say(wire.Ask(5))
    assert other.hear().number == 5
    assert office.desk.n_garbage == 0


# In a process of its own: libzmq may abort a sender whose queue is full all the time.
WILD = """
import sys, time, zmq
from stream import wire
from stream.transport.sockets import connect, make_socket
socket, number = make_socket(zmq.Context(), zmq.DEALER, heartbeats=False), 0
connect(socket, sys.argv[1])
while True:
    number += 1
    for request in (wire.Ask(number), wire.Adjust(number, "detection", 0.5)):
        try:
            socket.send_multipart(wire.encode_desk(request), zmq.NOBLOCK)
        except zmq.Again:
            time.sleep(0.001)
"""


def test_a_flood_neither_fills_memory_nor_shuts_others_out(office):
    """A script gone wild sends all it can and reads nothing."""
    office.begin()
    wild = subprocess.Popen([sys.executable, "-c", WILD, office.desk.endpoint])
    try:
        other = office.caller()
        longest = 0.0
        for number in range(10):
            began = time.monotonic()
            other.say(wire.Ask(number))
            assert other.hear().number == number
            longest = max(longest, time.monotonic() - began)
        assert longest < 2.0
        deadline = time.monotonic() + 10
        while len(office.desk._unanswered) < MAX_WAITING and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert len(office.desk._unanswered) == MAX_WAITING
        assert len(office.desk.wishes()) == TAKEN_AT_ONCE
        other.say(wire.Annotate(99, "x", 0))
        answer = other.hear()
        assert not answer.ok and "wishes are waiting already" in answer.text
    finally:
        wild.kill()
        wild.wait()


def test_looking_for_wishes_costs_next_to_nothing(office):
    office.begin()
    n = 10_000
    began = time.thread_time()
    for _ in range(n):
        office.desk.wishes()
    assert (time.thread_time() - began) / n < 20e-6  # 0.2 µs in quiet


# --- other computers ---


@pytest.fixture
def keys(tmp_path):
    """The server's folder knows two dashboards; each of these, and a stranger, knows the server."""
    made = tmp_path / "made"
    for name in ("server", "left", "right", "stranger"):
        make_keys(made, name)
    folders = {}
    for name, known in (
        ("server", ("left", "right")),
        ("left", ("server",)),
        ("right", ("server",)),
        ("stranger", ("server",)),
    ):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for file in (f"{name}.secret", f"{name}.public", *(f"{other}.public" for other in known)):
            shutil.copy(made / file, folders[name])
    return folders


def test_all_whose_keys_are_there_are_let_in_and_nobody_else(keys):
    host = load_host_keys(keys["server"])
    with an_office(host) as office:
        for caller in (
            office.caller(load_keys(keys["left"])),
            office.caller(load_keys(keys["right"])),
            office.caller(host.to_itself),
        ):
            caller.say(wire.Ask(1))
            assert caller.hear().run_id == "run-1"
        assert office.desk.notes() == []
        for spy in (office.caller(load_keys(keys["stranger"])), office.caller()):
            spy.say_if_let(wire.Ask(2))
            assert not spy.socket.poll(500)
        (note,) = office.desk.notes()
        again = office.caller(load_keys(keys["stranger"]))  # as a dashboard does every few seconds
        again.say_if_let(wire.Ask(3))
        assert not again.socket.poll(500) and office.desk.notes() == []
        assert load_keys(keys["stranger"]).public.decode() in note
        assert "is in no *.public file in dashboards.keys here" in note


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "server.secret").unlink(), "holds no secret key of this computer"),
        (lambda f: shutil.copy(f.parent / "left" / "left.secret", f), "leave only that of this computer"),
        (
            lambda f: shutil.copy(f.parent / "left" / "left.secret", f / "left.public"),
            "must not leave its computer",
        ),
        (lambda f: (f / "other.public").write_text("hello"), "or a damaged one"),
    ],
)
def test_a_folder_without_the_right_keys_is_told_in_a_sentence(keys, change, sentence):
    assert len(load_host_keys(keys["server"]).admitted) == 3
    change(keys["server"])
    with pytest.raises(StreamError, match=f"^dashboards.keys: .*{sentence}"):
        load_host_keys(keys["server"])


def test_a_server_nobody_may_call_yet_lets_itself_in(tmp_path):
    make_keys(tmp_path, "server")
    host = load_host_keys(tmp_path)
    assert host.admitted == {host.public}
    assert host.secret.decode() not in repr(host)


def test_an_address_gives_three_ports_in_a_row(settings, tmp_path):
    config = load_config(options=settings(dashboards__address="tcp://127.0.0.1:5610"))
    local = job_endpoints("inproc", str(tmp_path))
    endpoints = dashboard_endpoints(config, local)
    assert (endpoints.desk, endpoints.results, endpoints.pictures) == tuple(
        f"tcp://127.0.0.1:{port}" for port in (5610, 5611, 5612)
    )
    assert endpoints.frames == local.frames
    assert dashboard_keys(config) is None
    assert dashboard_endpoints(load_config(options=settings()), local) == local


@pytest.mark.parametrize("kind", ["ipc", "tcp", "inproc"])
def test_dashboards_reach_a_run_of_any_kind_from_other_processes(kind, tmp_path):
    endpoints = job_endpoints(kind, str(tmp_path))
    for endpoint in (endpoints.desk, endpoints.results, endpoints.pictures):
        assert endpoint.startswith(("ipc://", "tcp://127.0.0.1"))


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"dashboards.address": "tcp://0.0.0.0:5610"}, StreamError, "`piezo1 keys` on every computer"),
        ({"dashboards.address": "tcp://0.0.0.0:65534"}, ConfigError, "the two behind it"),
        ({"dashboards.address": "0.0.0.0:5610"}, ConfigError, "dashboards.address"),
        ({"dashboards.keys": "keys"}, ConfigError, "keys need an address"),
        (
            {"dashboards.address": "tcp://0.0.0.0:5610", "dashboards.keys": "no"},
            StreamError,
            "dashboards.keys: no holds no secret key",
        ),
        (
            {
                "dashboards.address": "tcp://127.0.0.1:5610",
                "network.role": "source",
                "network.address": "tcp://127.0.0.1:5600",
            },
            ConfigError,
            "the computer that analyses",
        ),
    ],
)
def test_a_section_that_cannot_be_is_told_in_a_sentence(sample, options, error, sentence):
    with pytest.raises(error, match=sentence):
        dashboard_keys(load_config(options={"source.path": sample / "movie.tif", **options}))


def test_a_desk_that_cannot_listen_leaves_nothing_open():
    context = zmq.Context()
    taken = make_socket(context, zmq.DEALER)
    endpoint = bind(taken, TCP)
    with pytest.raises(StreamError, match="cannot listen on"):
        Desk(context, endpoint, "r", "", "", print)
    with pytest.raises(StreamError, match="in the clear"):
        Desk(context, "tcp://0.0.0.0:*", "r", "", "", print)
    taken.close(0)
    context.term()  # waits for ever when a socket was left open
