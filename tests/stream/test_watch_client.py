"""The dashboards' side: it finds runs, collects what they tell, and survives whatever becomes of them."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zmq

from acquire.frame import Frame
from model.localizations import Localizations
from stream import wire
from stream.results import CalciumUpdate, FrameResult, StreamError, TrackUpdate
from stream.transport.gate import Gate
from stream.transport.keys import load_host_keys, make_keys
from stream.transport.results import ResultPublisher
from stream.transport.sockets import bind, make_socket
from stream.watch.address import beside, desk_address
from stream.watch.announce import announce, withdraw
from stream.watch.client import Watcher
from stream.watch.collect import MAX_PICTURES, MAX_RESULTS, Collector
from stream.watch.desk import Desk
from stream.watch.news import Link
from stream.watch.pictures import PictureSender

pytestmark = pytest.mark.timeout(60)

TCP = "tcp://127.0.0.1:*"
ROOT = Path(__file__).parents[2]
SESSION = wire.Session(
    "cell", "a test", "replay", "runs/x", "here", (2, 8, 8), None, 0.01, 108.0, 16, "live", True, None,
    "wavelet", "", [],
)  # fmt: skip


def a_result(seq=0, missing_before=0):
    none = Localizations.from_table(np.empty((0, 9), np.float32))
    return FrameResult(seq, seq * 0.01, missing_before, none, TrackUpdate.none(), CalciumUpdate.off(0, 0))


def a_picture(seq=0):
    return Frame(seq, seq * 0.01, np.full((2, 8, 8), seq, np.uint16))


class Run:
    """The analysis' side of a run, as far as dashboards see it."""

    def __init__(self, run_id, endpoints=(TCP, TCP, TCP), runs=None, keys=None, folder="."):
        self.context = zmq.Context()
        host = load_host_keys(keys) if keys else None
        self.gate = Gate(self.context, host) if host else None
        self.results = ResultPublisher(self.context, endpoints[1], gate=self.gate, run_id=run_id)
        self.pictures = PictureSender(self.context, endpoints[2], self.gate, run_id)
        where = self.results.endpoint, self.pictures.endpoint
        self.ended = []
        end = partial(self.ended.append, True)
        self.desk = Desk(self.context, endpoints[0], run_id, *where, end, self.gate)
        self.file = announce(self.desk.endpoint, run_id, Path(folder), keys, runs) if runs else None
        self.is_open = True

    @property
    def endpoints(self):
        return self.desk.endpoint, self.results.endpoint, self.pictures.endpoint

    def begin(self):
        self.desk.begin(SESSION)
        self.desk.doing("running", "analysing")

    def end(self, state="finished", problem="", health=None):
        self.results.publish_over(wire.RunOver(state, "runs/x", problem, health=health))
        self.close()

    def close(self):
        if self.is_open:
            self.is_open = False
            if self.file:
                withdraw(self.file)
            self.desk.close()
            self.results.close()
            self.pictures.close()
            if self.gate:
                self.gate.close()
            self.context.term()


class Looker:
    """Everything that a watcher has told, gathered until something holds."""

    def __init__(self, watcher):
        self.watcher = watcher
        self.results, self.pictures, self.triggers, self.answers, self.refused = [], [], [], [], []
        self.states, self.overrun = [], 0
        self.news = watcher.take()

    def look(self):
        self.news = news = self.watcher.take()
        self.results += news.results
        self.pictures += news.pictures
        self.triggers += news.triggers
        self.answers += news.answers
        self.refused += news.refused
        self.overrun += news.overrun
        if not self.states or self.states[-1] != news.link.state:
            self.states.append(news.link.state)

    def until(self, holds, timeout_s=15.0, every=lambda: None):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.look()
            if holds(self):
                return self
            every()
            time.sleep(0.01)
        pytest.fail(f"it never came to that: {self.states} {self.news.link} {self.refused}")

    def until_is(self, state, run_id=None, **more):
        def holds(desk):
            report = desk.news.report
            return desk.news.link.state == state and (run_id is None or (report and report.run_id == run_id))

        return self.until(holds, **more)


@pytest.fixture
def place(tmp_path):
    """Runs and watchers, closed in the end."""

    class Place:
        def __init__(self):
            self.runs, self.opened = tmp_path / "runs", []

        def run(self, run_id, *args, announced=False, **kwargs):
            run = Run(run_id, *args, runs=self.runs if announced else None, **kwargs)
            self.opened.append(run)
            return run

        def watch(self, *args, **kwargs):
            watcher = Watcher(*args, runs=self.runs, **kwargs)
            self.opened.append(watcher)
            return Looker(watcher)

    place = Place()
    yield place
    for thing in reversed(place.opened):
        thing.close()


def publishing(run, seqs):
    """Publishes the next frame each time it is called."""

    def publish():
        seq = next(seqs, None)
        if seq is not None:
            run.results.publish(a_result(seq))
            if run.pictures.wanted(time.monotonic()):
                run.pictures.send(a_picture(seq))

    return publish


# --- a run ---


def test_a_run_is_watched_from_its_first_word_to_its_last(place):
    watch = place.watch(pictures=True)
    watch.until_is("searching")
    run = place.run("one", announced=True)
    run.desk.doing("preparing", "building the engine")
    watch.until(lambda w: w.news.report and w.news.report.doing == "building the engine")
    assert watch.news.report.session is None
    run.begin()
    watch.until(lambda w: w.news.report.session == SESSION)
    watch.until(
        lambda w: len(w.results) >= 50 and len(w.pictures) >= 5, every=publishing(run, iter(range(10_000)))
    )
    trigger = wire.Trigger(0, "wave", 3, 3, 0.1, "a wave", -1, None, None, {})
    run.results.publish_trigger(trigger)
    watch.until(lambda w: w.triggers == [trigger])
    seqs = [result.seq for result in watch.results]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert all(np.all(picture.pixels == picture.seq) for picture in watch.pictures)
    run.end("interrupted")
    watch.until_is("over")
    assert watch.news.link.text == "one is over: interrupted"
    assert watch.states == ["searching", "calling", "watching", "over"] or watch.states == [
        "searching",
        "watching",
        "over",
    ]
    assert watch.refused == [] and watch.overrun == 0


def test_one_that_opens_late_learns_all(place):
    run = place.run("one")
    run.begin()
    health = wire.Health(5, 6, 1, {"x": 1}, 5, 9, 9, None, wire.Dial(0.5, 0, 1, ""), None, [])
    run.desk.update(health)
    watch = place.watch(run.desk.endpoint.removeprefix("tcp://"))
    watch.until_is("watching")
    assert (watch.news.report.session, watch.news.report.health) == (SESSION, health)


def test_wishes_are_answered_with_their_numbers(place):
    run = place.run("one")
    run.begin()
    watch = place.watch(run.desk.endpoint)
    watch.until_is("watching")
    numbers = [
        watch.watcher.adjust("calcium", 4.5),
        watch.watcher.annotate("a bleb", 3, 10.0, 20.0),
        watch.watcher.end_run(),
    ]
    requests = []

    def serve():
        for wish in run.desk.wishes():
            requests.append(wish.request)
            run.desk.answer(wish, True, "done", 9)

    watch.until(lambda w: len(w.answers) == 3, every=serve)
    assert sorted(answer.number for answer in watch.answers) == numbers and len(set(numbers)) == 3
    assert requests == [
        wire.Adjust(numbers[0], "calcium", 4.5),
        wire.Annotate(numbers[1], "a bleb", 3, 10.0, 20.0),
    ]
    assert run.ended == [True]
    with pytest.raises(StreamError, match="1 to 1000 characters"):
        watch.watcher.annotate("", 3)


def test_every_wish_is_answered_in_the_end(place, monkeypatch):
    """By nobody, by a run that ends, and by one that does not answer."""
    monkeypatch.setattr("stream.watch.pending.ANSWERED_WITHIN_S", 0.3)
    watch = place.watch()
    watch.watcher.end_run()
    watch.until(lambda w: len(w.answers) == 1)
    assert not watch.answers[0].ok and "there is no run" in watch.answers[0].text
    run = place.run("one", announced=True)
    run.begin()
    watch.until_is("watching")
    watch.watcher.adjust("calcium", 4.5)
    watch.until(lambda w: len(w.answers) == 2)
    assert "no answer within" in watch.answers[1].text
    monkeypatch.setattr("stream.watch.pending.ANSWERED_WITHIN_S", 30)
    watch.watcher.adjust("calcium", 4.5)
    time.sleep(0.3)
    run.end()
    watch.until(lambda w: len(w.answers) == 3)
    assert watch.answers[2].text == "the run is over"


# --- one run after the other ---


def test_the_next_run_at_an_address_begins_anew(place):
    """Without a last word, as a killed run leaves none; the sockets connect to the next one by themselves."""
    run = place.run("one")
    endpoints = run.endpoints
    run.begin()
    watch = place.watch(endpoints[0], pictures=True)
    watch.until(lambda w: len(w.results) > 20, every=publishing(run, iter(range(1000, 2000))))
    run.close()
    second = place.run("two", endpoints)
    second.begin()
    watch.results.clear()
    mixed = []

    def check():
        publish()
        news = watch.news
        if news.report and news.report.run_id == "two":
            mixed.extend(result.seq for result in news.results if result.seq >= 1000)

    publish = publishing(second, iter(range(1000)))
    watch.until(lambda w: sum(r.seq < 1000 for r in w.results) > 20, every=check)
    assert mixed == []
    assert watch.news.report.run_id == "two" and watch.overrun == 0


OLD = 100_000  # the first frame of a run that is followed by another


def test_results_of_the_next_run_wait_for_its_report(place):
    """They come on a connection that was made again, before its desk has said who it is."""
    run = place.run("one")
    endpoints = run.endpoints
    watch = place.watch(endpoints[0])
    watch.until(lambda w: w.results, every=publishing(run, iter(range(OLD, 2 * OLD))))
    run.close()
    context = zmq.Context()
    publisher = ResultPublisher(context, endpoints[1], run_id="two")
    deadline = time.monotonic() + 1.5
    watch.look()
    watch.results.clear()
    seq = 0
    while time.monotonic() < deadline:
        publisher.publish(a_result(seq))
        seq += 1
        watch.look()
        time.sleep(0.01)
    assert all(result.seq >= OLD for result in watch.results)  # the old run's last ones may still come
    watch.results.clear()
    desk = Desk(context, endpoints[0], "two", endpoints[1], endpoints[2], print)
    watch.until(lambda w: w.results)
    assert watch.news.report.run_id == "two" and watch.results[0].seq < seq
    desk.close()
    publisher.close()
    context.term()


def test_it_goes_on_with_the_next_run_that_is_announced(place):
    watch = place.watch()
    for number, state in enumerate(("finished", "failed: disk full", "finished")):
        run = place.run(f"run-{number}", announced=True)
        run.begin()
        watch.until_is("watching", f"run-{number}")
        run.end(state)
        watch.until_is("over")
        assert watch.news.link.text == f"run-{number} is over: {state}"


def test_of_several_runs_the_newest_is_taken_and_kept(place):
    place.run("old", announced=True)
    new = place.run("new", announced=True)
    watch = place.watch()
    watch.until_is("watching", "new")
    place.run("newest", announced=True)
    time.sleep(1.2)
    watch.look()
    assert watch.news.report.run_id == "new"
    new.end()
    watch.until_is("watching", "newest")


@pytest.mark.skipif(not zmq.has("ipc") or os.name != "posix", reason="this system has no ipc")
def test_a_local_address_is_left_for_the_next_run_when_its_own_is_over(place, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    run = place.run("one", [f"ipc://{folder}/{name}" for name in "drp"])
    watch = place.watch(run.desk.endpoint)
    watch.until_is("watching", "one")
    place.run("other", announced=True)
    time.sleep(1.2)
    watch.look()
    assert watch.news.report.run_id == "one"  # it calls only what it was given
    run.end()
    watch.until_is("watching", "other")


def test_what_a_run_says_last_takes_the_place_of_its_last_report(place):
    run = place.run("one", announced=True)
    run.begin()
    watch = place.watch()
    watch.until(lambda w: w.results, every=publishing(run, iter(range(10_000))))  # it hears the last word
    dial = wire.Dial(0.5, 0, 1, "")
    last = wire.Health(7, 10, 0, {"lost on the way": 3}, 7, 9, 9, None, dial, None, [])
    run.end(health=last)
    watch.until_is("over")
    assert watch.news.report.health == last and watch.news.report.stage == "finishing"


@pytest.mark.skipif(not zmq.has("ipc") or os.name != "posix", reason="this system has no ipc")
def test_a_local_run_that_is_gone_without_a_word_is_over(place, tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    run = place.run("one", [f"ipc://{folder}/{name}" for name in "drp"])
    watch = place.watch(run.desk.endpoint)
    watch.until_is("watching")
    run.close()
    shutil.rmtree(folder)
    watch.until_is("over")
    assert "without a word" in watch.news.link.text


# --- trouble ---

KILLED = """
import sys, time
from pathlib import Path
import zmq
from stream.watch.announce import announce
from stream.watch.desk import Desk
desk = Desk(zmq.Context(), "tcp://127.0.0.1:*", "doomed", "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", print)
announce(desk.endpoint, "doomed", Path(sys.argv[2]), runs=Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("left", "how"),
    [
        (None, "it ended before its first frame"),
        ('{"state": "running"}', "it ended without a word"),
        ('{"state": "finished"}', "finished"),
        ("[", "it ended without a word"),
    ],
)
def test_a_run_that_is_killed_is_over(place, tmp_path, left, how):
    if left:
        (tmp_path / "run.json").write_text(left)
    command = [sys.executable, "-c", KILLED, str(place.runs), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout.readline().startswith(b"ready")
        watch = place.watch()
        watch.until_is("watching", "doomed")
        child.kill()
        child.wait()
        watch.until_is("over")
        assert watch.news.link.text == f"doomed is over: {how}"
    place.run("next", announced=True)
    watch.until_is("watching", "next")


def test_a_desk_that_is_silent_for_a_while(place, monkeypatch):
    run = place.run("one")
    watch = place.watch(run.desk.endpoint)
    watch.until_is("watching")
    real = Desk._serve
    monkeypatch.setattr(Desk, "_serve", lambda self: time.sleep(0.05) or False)
    watch.until_is("silent")
    first = watch.news.link.silent_s
    assert first >= 2 and "has not answered for" in watch.news.link.text
    watch.until(lambda w: w.news.link.silent_s > first + 0.5)
    monkeypatch.setattr(Desk, "_serve", real)
    watch.until_is("watching")
    assert watch.news.link.silent_s == 0 and watch.states[-3:] == ["watching", "silent", "watching"]


def test_an_address_where_nobody_is_yet(place):
    context = zmq.Context()
    socket = make_socket(context, zmq.DEALER)
    endpoint = bind(socket, TCP)
    socket.close(0)
    context.term()
    watch = place.watch(endpoint)
    time.sleep(0.5)
    watch.until_is("calling")
    place.run("late", (endpoint, TCP, TCP))
    watch.until_is("watching", "late")


def test_garbage_on_every_socket_is_told_and_survived(place, monkeypatch):
    run = place.run("one")
    run.begin()
    watch = place.watch(run.desk.endpoint, pictures=True)
    publish = publishing(run, iter(range(10_000)))
    watch.until(lambda w: w.results and w.pictures, every=publish)
    damaged = [bytes(part) for part in wire.encode_result(a_result(5))]
    damaged[1] = damaged[1][:-3] + b"abc"
    for parts in (
        [wire.RESULT_TOPIC],
        [wire.RESULT_TOPIC, os.urandom(500), b"12345678"],
        damaged,
        [wire.GREETING_TOPIC],
        [wire.GREETING_TOPIC + os.urandom(50)],
        [wire.OVER_TOPIC, b"x", b"y"],
        [wire.TRIGGER_TOPIC, b""],
    ):
        run.results._socket.send_multipart(parts)
    for parts in ([wire.FRAME_TOPIC, b"", b"", b""], [wire.FRAME_TOPIC] * 9):
        run.pictures._socket.send_multipart(parts)
        time.sleep(0.1)
    monkeypatch.setattr(Desk, "_report", lambda self, number: wire.Answer(5, True, "what?", 0))
    time.sleep(0.6)
    monkeypatch.setattr(wire, "encode_desk", lambda message: [os.urandom(20), b"x"])
    time.sleep(0.6)
    monkeypatch.undo()
    watch.results.clear()
    watch.pictures.clear()
    watch.until(lambda w: len(w.results) > 10 and w.pictures, every=publish)
    watch.until_is("watching")
    assert 3 <= len(watch.refused) == len(set(watch.refused)) < 20
    assert watch.answers == []


def test_a_run_of_another_version_is_told_in_one_sentence(place):
    context = zmq.Context()
    desk = make_socket(context, zmq.ROUTER)
    endpoint = bind(desk, TCP)
    watch = place.watch(endpoint)
    for _ in range(3):
        who, *_ = desk.recv_multipart()
        newer = wire.Report(1, "x", "running", "", 0, "", "", None, None, version=wire.VERSION + 1)
        desk.send_multipart([who, *wire.encode_desk(newer)])
    watch.until(lambda w: w.refused)
    time.sleep(0.2)
    watch.look()
    (sentence,) = watch.refused
    assert f"has version {wire.VERSION + 1}" in sentence and "update the older side" in sentence
    assert watch.news.link.state == "calling"
    desk.close(0)
    context.term()


def test_a_run_that_says_to_be_elsewhere_is_not_followed_there(place):
    context = zmq.Context()
    desk = Desk(context, TCP, "x", "ipc:///etc/passwd", "tcp://192.0.2.1:80", print)
    watch = place.watch(desk.endpoint)
    watch.until(lambda w: w.refused)
    assert "which cannot be" in watch.refused[0]
    desk.close()
    context.term()


# --- other computers ---


@pytest.fixture
def keys(tmp_path):
    """Folders of a server that knows one dashboard, of that one, and of a stranger."""
    made = tmp_path / "made"
    folders = {}
    for name in ("server", "dashboard", "stranger"):
        make_keys(made, name)
    for name, known in (("server", "dashboard"), ("dashboard", "server"), ("stranger", "server")):
        folders[name] = tmp_path / name
        folders[name].mkdir()
        for file in (f"{name}.secret", f"{name}.public", f"{known}.public"):
            shutil.copy(made / file, folders[name])
    return folders


def test_a_dashboard_with_keys_watches_and_one_on_the_same_computer_too(place, keys):
    run = place.run("one", keys=keys["server"], announced=True)
    run.begin()
    for watch in (
        place.watch(run.desk.endpoint, keys["dashboard"], pictures=True),
        place.watch(pictures=True),  # found, with the server's own pair
        place.watch(run.desk.endpoint),
    ):
        enough = lambda w: len(w.results) > 5 and (w.pictures or not w.watcher._follower._with_pictures)  # noqa: E731
        watch.until(enough, every=publishing(run, iter(range(10_000))))
    assert run.desk.notes() == []


@pytest.mark.parametrize(
    ("whose", "sentence"),
    [
        ("stranger", "it does not know this computer's key: copy the *.public file from here into its dashb"),
        (None, "one side uses keys and the other none|it drops every call"),
    ],
)
def test_a_refused_key_is_told_in_a_sentence(place, keys, whose, sentence):
    run = place.run("one", keys=keys["server"])
    watch = place.watch(run.desk.endpoint, keys[whose] if whose else None)
    watch.until(lambda w: w.refused)
    assert any(part in watch.refused[0] for part in sentence.split("|")), watch.refused
    assert watch.news.link.state == "calling" and watch.refused[0].partition(": ")[2] in watch.news.link.text
    assert watch.news.report is None


@pytest.mark.parametrize(
    ("connect", "folder", "sentence"),
    [
        ("nowhere", None, "is no address of a run"),
        ("tcp://host", None, "is no address of a run"),
        ("tcp://host:0", None, "is no address of a run"),
        ("tcp://host:99999", None, "is no address of a run"),
        ("http://host:80", None, "is no address of a run"),
        ("ipc://", None, "the path must have"),
        ("ipc://" + "x" * 200, None, "the path must have"),
        (
            "tcp://192.0.2.1:5610",
            None,
            "in the clear: .*`piezo1 keys`.* the folder as --keys",
        ),
        ("tcp://192.0.2.1:5610", "nowhere", "^--keys: nowhere holds no secret key"),
        (None, "nowhere", "give its address too"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_a_sentence(tmp_path, connect, folder, sentence):
    with pytest.raises(StreamError, match=sentence):
        Watcher(connect, Path(folder) if folder else None, runs=tmp_path)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("tcp://server.lab:5610", "tcp://server.lab:5610"),
        (" 192.168.1.20:5610 ", "tcp://192.168.1.20:5610"),
        ("tcp://0.0.0.0:5610", "tcp://127.0.0.1:5610"),
        ("ipc:///tmp/x/desk", "ipc:///tmp/x/desk"),
    ],
)
def test_addresses_as_people_write_them(text, endpoint):
    assert desk_address(text) == endpoint


def test_with_tcp_only_the_port_of_what_is_told_counts():
    assert beside("tcp://server:5610", "tcp://0.0.0.0:5611") == "tcp://server:5611"
    assert beside("ipc:///x/desk", "ipc:///x/results") == "ipc:///x/results"


# --- bounds ---


def a_report(run_id):
    return wire.Report(0, run_id, "running", "", 0, "", "", None, None)


def test_what_nobody_takes_is_bounded_and_counted():
    news = Collector(Link("searching", ""))
    news.report(a_report("one"))
    for seq in range(MAX_RESULTS + 300):
        news.result(a_result(seq))
        news.picture(a_picture(seq))
        news.trigger(wire.Acted(seq, True, ""))
        news.answer(wire.Answer(seq, True, "", 0))
        news.refused(f"sentence {seq}")
    taken = news.take()
    assert [result.seq for result in taken.results] == list(range(300, MAX_RESULTS + 300))
    assert [picture.seq for picture in taken.pictures][-1] == MAX_RESULTS + 299
    assert (taken.overrun, len(taken.pictures)) == (300, MAX_PICTURES)
    assert len(taken.triggers) <= 1000 and len(taken.answers) <= 200 and len(taken.refused) <= 50
    again = news.take()
    assert again.results == again.pictures == again.refused == () and again.overrun == 0
    assert again.report == taken.report


def test_results_lost_on_the_way_here_count_and_lost_frames_do_not():
    news = Collector(Link("watching", ""))
    news.report(a_report("one"))
    news.result(a_result(100))  # opened late: what was before is not lost
    news.result(a_result(101))
    news.result(replace(a_result(105), missing_before=3))
    assert news.take().overrun == 0
    news.result(replace(a_result(110), missing_before=1))
    assert news.take().overrun == 3


def test_nothing_of_the_last_run_comes_with_the_next():
    news = Collector(Link("watching", ""))
    news.report(a_report("one"))
    news.result(a_result(7))
    news.picture(a_picture(7))
    news.trigger(wire.Acted(0, True, ""))
    news.report(a_report("one"))
    assert len(news.take().results) == 1
    news.result(a_result(8))
    news.picture(a_picture(8))
    news.report(a_report("two"))
    news.result(a_result(0))
    taken = news.take()
    assert [result.seq for result in taken.results] == [0] and taken.pictures == taken.triggers == ()
    assert (taken.report.run_id, taken.overrun) == ("two", 0)


def test_closing_is_quick_whatever_is_there(place):
    run = place.run("one", announced=True)
    for watch in (place.watch(), place.watch("tcp://127.0.0.1:1"), place.watch(run.desk.endpoint)):
        time.sleep(0.3)
        began = time.monotonic()
        watch.watcher.close()
        assert time.monotonic() - began < 1.0
        watch.watcher.close()  # also twice
        watch.watcher.end_run()
        watch.look()


def test_following_a_run_is_cheap(place):
    """While nothing comes, it hardly ever wakes."""
    run = place.run("one", announced=True)
    run.begin()
    watch = place.watch()
    watch.until(lambda w: w.results, every=publishing(run, iter(range(10_000))))
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.15  # idle: both sides and the waiting; 0.02 in quiet


def test_a_key_that_is_copied_later_opens_the_door(place, keys, monkeypatch):
    """The server's next run, which knows this dashboard's key, is watched without a restart."""
    monkeypatch.setattr("stream.watch.follower.REFUSED_S", 0.5)
    known = (keys["server"] / "dashboard.public").rename(keys["server"] / "later")
    run = place.run("one", keys=keys["server"])
    endpoints = run.endpoints
    watch = place.watch(endpoints[0], keys["dashboard"])
    watch.until(lambda w: w.refused)
    run.close()
    known.rename(keys["server"] / "dashboard.public")
    place.run("two", endpoints, keys=keys["server"])
    watch.until_is("watching", "two")
