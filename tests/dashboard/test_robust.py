"""The whole window fed what should never come: it stays up, says what it sees, and goes on."""

import itertools
import sys
import time
from collections import deque
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from PySide6 import QtWidgets

from dashboard.controllers.dashboard import Dashboard
from dashboard.controllers.memory import Memory
from dashboard.mistakes import AGAIN_S, Mistakes
from dashboard.models.sound import LARGEST_INT, sound
from dashboard.views.window import DashboardWindow
from model.localizations import COLUMNS
from stream import wire
from stream.results import CalciumTransient, EventsUnderWay
from stream.watch.news import Link, News
from stream.wire.envelope import MAX_TEXT, encoder, sealed

pytestmark = pytest.mark.timeout(120)
WATCHING = Link("watching", "watching the run")
ODD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 9e8, 9e4, 0, -1, 1e-45], np.float32)
ODD_FLOATS = [np.nan, np.inf, -np.inf, 1e300, -9e11, 9e8, 0.0, -1.0, 1e-300]
ODD_INTS = [-(2**63), -1, 0, 3, 2**31, 2**53 + 1, 2**63 - 1]


class Scripted:
    """A client that brings what a test gives it, and knows the time."""

    def __init__(self):
        self.news, self.now_s, self.last, self.n_wishes = deque(), 0.0, News(WATCHING), 0

    def take(self):
        if self.news:
            self.last = self.news.popleft()
            return self.last
        return News(self.last.link, self.last.report)

    def adjust(self, *_):
        self.n_wishes += 1
        return self.n_wishes

    annotate = adjust
    end_run = adjust


class Bench:
    """A real window at work, whose client and clock are the test's."""

    def __init__(self, make):
        self.make, self.client, self.window = make, Scripted(), DashboardWindow()
        self.dashboard = Dashboard(self.client, self.window, Memory(), clock=lambda: self.client.now_s)
        self.window.resize(1100, 700)
        self.window.show()
        self.number = itertools.count()

    def report(self, run_id="run", session=None, **fields):
        number = next(self.number)
        clock_ns = int(self.client.now_s * 1e9)
        values = {"number": number, "run_id": run_id, "stage": "running", "doing": "", "clock_ns": clock_ns}
        values |= {"results": "", "pictures": "", "health": self.make.health(), **fields}
        session = self.make.session() if session is None else session
        return wire.decode_reply(wired(wire.encode_desk(wire.Report(session=session, **values))))

    def show(self, results=(), pictures=(), link=WATCHING, after_s=0.6, **fields):
        """News come and are drawn, the slow panels too, and everything is painted."""
        report = fields.pop("report") if "report" in fields else self.report()
        self.client.news.append(News(link, report, tuple(results), tuple(pictures), **fields))
        self.wait(after_s)

    def wait(self, seconds):
        self.client.now_s += seconds
        self.dashboard.tick()
        QtWidgets.QApplication.processEvents()

    def said(self):
        return self.window.health.said() + "\n" + self.window.said


class Make:
    def __init__(self, result, event, picture, session, health):
        self.result, self.event, self.picture = result, event, picture
        self.session, self.health = session, health


def wired(parts):
    return [bytes(part) for part in parts]


@pytest.fixture
def make(make_result, make_event, make_picture, make_session, make_health):
    return Make(make_result, make_event, make_picture, make_session, make_health)


@pytest.fixture
def bench(make, qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("PIEZO1_SETTINGS", str(tmp_path / "settings.ini"))
    monkeypatch.chdir(tmp_path)
    bench = Bench(make)
    qtbot.addWidget(bench.window)
    return bench


def odd(random, values, share=0.2, choices=ODD):
    """The same with some values that cannot be."""
    values = np.array(values)
    at = random.random(values.shape) < share
    values[at] = random.choice(choices, np.count_nonzero(at))
    return values


def odd_event(random, event):
    """One of its fields is nonsense."""
    name = str(random.choice(type(event).__slots__))
    was = getattr(event, name)
    if isinstance(was, bool):
        return event
    return replace(event, **{name: random.choice(ODD_INTS if isinstance(was, int) else ODD_FLOATS).item()})


def odd_result(make, random, seq):
    """A result that can be decoded, in which anything may be nonsense."""
    n, n_gap = int(random.integers(0, 20)), int(random.integers(0, 5))
    event = odd_event(random, make.event(seq, onset=seq))
    place = 10.0, 10.0
    transient = CalciumTransient(seq, seq, seq, seq, 0.0, 0.1, *place, 0.5, 8.0, 5.0, False, False)
    whole = make.result(seq, n, gap_ids=range(100, 100 + n_gap), events=[event], born=range(n))
    whole = replace(
        whole,
        time_s=float(random.choice(ODD_FLOATS)) if random.random() < 0.2 else whole.time_s,
        latency_ms=float(random.choice(ODD_FLOATS)),
        stage_ms={"engine": float(random.choice(ODD_FLOATS)), "tracker": 1.0},
    )
    for name in COLUMNS:
        getattr(whole.localizations, name)[:] = odd(random, getattr(whole.localizations, name))
    tracks, calcium = whole.tracks, whole.calcium
    for column in (tracks.gap_x_px, tracks.gap_y_px, calcium.dff, calcium.gap_dff):
        column[:] = odd(random, column)
    for ids in (tracks.track_id, tracks.gap_track_id, tracks.born):
        ids[:] = odd(random, ids, choices=np.array(ODD_INTS))
    calcium.state[:] = random.integers(-128, 127, n)
    calcium = replace(calcium, transients=(odd_event(random, transient),), under_way=EventsUnderWay.none())
    return wire.decode_result(wired(wire.encode_result(replace(whole, calcium=calcium))))


@pytest.mark.parametrize("seed", range(4))
def test_numbers_that_cannot_be_break_nothing_and_are_told(bench, make, seed):
    random = np.random.default_rng(seed)
    for name in ("Raster", "Histograms", "Contrast")[seed % 3 :]:
        bench.window.bring_forward(name)
    display = bench.dashboard.display.model_copy(update={"ids": True, "tails": ("age", "mobility")[seed % 2]})
    bench.dashboard.use_display(display)
    for seq in range(25):
        bench.show([odd_result(make, random, seq)], [make.picture(seq, shape=(2, 64, 64))])
        bench.dashboard.looking.select(int(random.integers(20)), True)
        if seq % 5 == 0:
            bench.dashboard.looking.freeze_or_follow()
            bench.dashboard.looking.jump_to_event(seq - 1)
            bench.dashboard.snapshot()
    bench.dashboard.looking.follow()
    bench.show([make.result(26, n=7)])
    assert bench.dashboard.scene.seq == 26 and len(bench.dashboard.scene.marks) == 7
    assert bench.window.health.isVisible()


def test_a_result_is_taken_as_far_as_it_can_be(make):
    good = make.result(3, 4, events=[make.event(1)], gap_ids=[9])
    assert sound(good) == (good, "")
    assert sound(replace(good, time_s=np.nan))[0] is None
    assert sound(replace(good, seq=LARGEST_INT + 1))[0] is None
    good.localizations.x_px[1] = np.inf
    good.localizations.photons[2] = 3e38
    late = replace(good, calcium=replace(good.calcium, events=(make.event(1), make.event(2, x=np.nan))))
    kept, why = sound(late)
    assert "left out" in why
    assert kept.tracks.track_id.tolist() == [0, 2, 3] and len(kept.calcium.dff) == 3
    assert np.isnan(kept.localizations.photons[1]) and kept.localizations.photons[0] == 1000
    assert [event.event_id for event in kept.calcium.events] == [1]


def test_what_is_left_out_is_said(bench, make):
    bench.show([make.result(0, 3)])
    bench.show([make.result(1, 3, x=[1.0, np.nan, 3.0])])
    assert "numbers that cannot be" in bench.window.said
    bench.show([make.result(2, 3, time_s=np.inf)])
    assert "frame or time cannot be" in bench.window.said
    assert bench.dashboard.scene.seq == 1


def test_clocks_that_go_back_and_leap(bench, make):
    times = [0.0, 0.02, 0.04, -5.0, -4.98, 1e9, 1e9 + 0.02, 3.0, 3.02, 3.04]
    for seq, time_s in enumerate(times):
        bench.show([make.result(seq, 3, time_s=time_s, events=[make.event(seq, onset=seq)])])
    assert bench.dashboard.scene.seq == len(times) - 1
    assert bench.window.traces.to_s == pytest.approx(3.04)


SESSIONS = [
    {"shape": (1, 300, 7), "has_calcium": False},
    {"shape": (2, 16, 512), "pixel_size_nm": 1e-3, "transform": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))},
    {"shape": (2, 1, 1), "interval_s": 1e-6, "bit_depth": 1},
    {"shape": (2, 64, 64), "interval_s": 1e6, "transform": ((1e300, 0.0, 0.0), (0.0, 1e-300, 1e9))},
    {"shape": (1, 1, 1), "n_frames": 0, "kind": "live"},
    {"shape": (2, 64, 64)},
]


@pytest.mark.parametrize("layout", ["side-by-side", "composite"])
def test_one_run_after_the_other_whatever_their_frames(bench, make, layout):
    bench.dashboard.use_display(bench.dashboard.display.model_copy(update={"layout": layout}))
    for i, fields in enumerate(SESSIONS):
        session = make.session(name=f"movie {i}", **fields)
        for seq in range(4):
            picture = make.picture(seq, shape=session.shape)
            report = bench.report(f"run {i}", session)
            bench.show([make.result(seq, 3, x=[0.0, 0.5, 1.0])], [picture], report=report)
        bench.window.images.region = True
        bench.dashboard.snapshot()
        assert f"movie {i}" in bench.window.windowTitle()
        assert bench.dashboard.scene.picture.shape == session.shape
        assert bench.dashboard.scene.seq == 3 and bench.window.images.canvas.isVisible()


def test_a_picture_of_another_size_is_left_out_and_said(bench, make):
    bench.show([make.result(0, 3)], [make.picture(0, shape=(2, 64, 64))])
    for seq, shape in enumerate([(1, 64, 64), (2, 5, 9), (2, 2048, 2048)], 1):
        bench.show([make.result(seq, 3)], [make.picture(seq, shape=shape)])
        assert " × ".join(map(str, shape)) in bench.window.said
        assert bench.dashboard.scene.picture_seq == 0
    bench.show([make.result(9, 3)], [make.picture(9, shape=(2, 64, 64))])
    assert bench.dashboard.scene.picture_seq == 9


def test_a_run_that_starts_again_at_the_same_address(bench, make):
    for seq in (0, 1, 500):
        bench.show([make.result(seq, 3)])
    bench.show([make.result(0, 3)])  # the same run cannot
    assert "older than the one before" in bench.window.said
    assert bench.dashboard.scene.seq == 500
    bench.show([make.result(0, 5)], report=bench.report("another run"))
    assert bench.dashboard.scene.seq == 0 and len(bench.dashboard.scene.marks) == 5


def test_far_too_many_puncta_are_said_and_drawn_in_time(bench, make):
    random, n = np.random.default_rng(0), 5000
    bench.dashboard.use_display(bench.dashboard.display.model_copy(update={"ids": True}))
    cpu_ms = []
    for seq in range(40):
        x, y = random.uniform(0, 64, (2, n))
        result = make.result(seq, n, x=x, y=y, dff=random.normal(0, 0.1, n))
        began_s = time.thread_time()
        bench.show([result], after_s=0.033)
        cpu_ms.append((time.thread_time() - began_s) * 1e3)
    pane = bench.window.images.views[0]
    assert pane.marks.n_dots() > 1000
    assert any("drawn as dots" in text for text in pane.captions.notes)
    # 200 puncta take some 10 ms; nobody may wait for the window, whatever comes.
    assert np.median(cpu_ms) < 250
    bench.show([make.result(41, 3)])
    assert pane.marks.n_dots() == 0


def test_nothing_at_all_is_found(bench, make):
    for seq in range(10):
        bench.show([make.result(seq, 0)], [make.picture(seq, shape=(2, 64, 64), value=0)])
    assert bench.dashboard.scene.seq == 9 and not len(bench.dashboard.scene.marks)
    assert "0" in bench.window.counters.findChildren(QtWidgets.QLabel)[1].text()


def test_an_hour_of_silence(bench, make):
    for seq in range(5):
        bench.show([make.result(seq, 3)])
    readings = {item.reading.name: item for item in bench.window.health.items}
    for minutes in (0.1, 1, 59):
        bench.client.news.append(
            News(Link("silent", "the run has not answered", 60 * minutes), bench.client.last.report)
        )
        bench.wait(60 * minutes)
    clock = readings["clock"].reading
    assert clock.level == "alarm" and "no answer for 59 min" in clock.word
    assert "the run has not answered" in bench.window.health.badge.badge.text
    assert "59 min ago" in readings["disk"].reading.meaning
    # It answers again, but no frame comes: that is another trouble.
    bench.client.news.append(News(WATCHING, bench.report()))
    bench.wait(1)
    assert "no new frame for 60 min" in readings["clock"].reading.word
    bench.show([make.result(200_000, 3)])
    assert readings["clock"].reading.level == "ok"
    assert bench.dashboard.scene.seq == 200_000


def test_from_searching_to_the_next_run(bench, make):
    badge = bench.window.health.badge

    def link(state, text, report):
        bench.client.news.append(News(Link(state, text), report))
        bench.wait(1)
        return badge.badge.kind, badge.badge.text

    assert link("searching", "waiting for one", None) == ("none", "NO RUN: waiting for one")
    assert link("calling", "calling", None)[0] == "none"
    early = bench.report(health=None, stage="preparing", doing="the engine is made")
    assert "movie" in link("watching", "watching", early)[1]
    bench.show([make.result(0, 3)])
    assert link("silent", "has not answered", bench.client.last.report)[1].endswith("has not answered")
    bench.show([make.result(1, 3)])
    bench.window.controls.stop_wanted.emit()
    assert link("over", "it is over: finished", bench.client.last.report)[1].endswith("finished")
    assert bench.dashboard.scene.seq == 1  # one still looks at it
    bench.show([make.result(0, 4)], report=bench.report("next", make.session(name="the next")))
    assert "the next" in badge.badge.text and len(bench.dashboard.scene.marks) == 4


def test_answers_to_wishes_that_nobody_made(bench, make):
    bench.show([make.result(0, 3)], answers=tuple(wire.Answer(n, False, "?", 0) for n in (0, 7, 2**40)))
    assert bench.window.said == "refused: ?"


def test_texts_of_any_length_change_no_layout(bench, make):
    bench.show([make.result(0, 3)])
    bench.wait(1)  # panels take their first widths
    images, panel = bench.window.images.size(), bench.window.controls.size()
    text = ("<h1>wide</h1>" + "Wort" * 1100)[:MAX_TEXT]
    entries = [wire.Entry("annotation", text, 0, text)] * 20
    dial = wire.Dial(1e-9, 0.0, 1e-7, text)
    health = make.health(missing={text: 3}, detection=dial, calcium=dial, log=entries)
    names = ("name", "description", "folder", "host", "engine", "saves_raw")
    session = make.session(**dict.fromkeys(names, text), notes=[text] * 20)
    report = bench.report("other", session, health=health, doing=text)
    for _ in range(3):
        answers = (wire.Answer(bench.client.adjust(), False, text, 0),)
        bench.show([], report=report, answers=answers, refused=(text,))
    bench.window.controls.answered("detection", False, text, 0)
    bench.window.hint("x" * 100)
    bench.wait(1)
    assert bench.window.size().width() == 1100
    assert bench.window.controls.size().width() == panel.width()
    assert bench.window.images.size().width() == images.width()
    assert bench.window.images.size().height() > images.height() / 2
    for label in bench.window.statusBar().findChildren(QtWidgets.QLabel):
        assert label.height() < 40 and len(label.text()) <= 1000


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"value": np.nan}, "detection.value"),
        ({"low": 2.0}, "cannot be turned"),
        ({"high": np.inf}, "detection.high"),
    ],
)
def test_absurd_dials_do_not_come_in(make, fields, sentence):
    parts = wire.encode_desk(
        wire.Report(0, "r", "running", "", 0, "", "", None, make.health(detection=wire.Dial(0.5, 0, 1, "x")))
    )
    packed = msgspec.msgpack.decode(bytes(parts[0]))
    packed["health"]["detection"] |= fields
    with pytest.raises(wire.WireError, match=sentence):
        wire.decode_reply(sealed([encoder.encode(packed)]))


@pytest.mark.parametrize(
    "fields",
    [{"interval_s": 0.0}, {"interval_s": np.nan}, {"pixel_size_nm": -1.0}, {"pixel_size_nm": np.inf}],
)
def test_absurd_sessions_do_not_come_in(make, fields):
    report = wire.Report(0, "r", "running", "", 0, "", "", make.session(**fields), None)
    with pytest.raises(wire.WireError, match=next(iter(fields))):
        wire.decode_reply(wired(wire.encode_desk(report)))


def test_a_snapshot_of_a_run_on_another_computer_is_kept_here(bench, make, tmp_path):
    session = make.session(folder="D:\\data\\run<1>", host="microscope", name="x")
    picture = make.picture(0, shape=(2, 64, 64))
    bench.show([make.result(0, 3)], [picture], report=bench.report("far", session))
    bench.dashboard.snapshot()
    assert "saved" in bench.window.said
    assert len(list((tmp_path / "snapshots").rglob("*.tif"))) == 1


class TestMistakes:
    """In the window's own code."""

    def test_each_place_is_told_once_on_the_terminal(self, capsys):
        said, now = [], [0.0]
        mistakes = Mistakes(said.append, clock=lambda: now[0])

        def happen(what):
            try:
                raise what
            except type(what) as error:
                mistakes(type(error), error, error.__traceback__)

        for i in range(300):
            happen(ValueError(f"number {i}"))
            now[0] += 0.033
        assert capsys.readouterr().err.count("Traceback") == 1
        assert len(said) == 1
        now[0] += AGAIN_S
        happen(ValueError("still"))
        happen(KeyError("something else"))
        assert [str(error) for error in said[1:]] == ["still", "'something else'"]
        assert capsys.readouterr().err.count("Traceback") == 1

    @pytest.mark.qt_no_exception_capture
    def test_the_window_stays_and_says_so(self, bench, make, monkeypatch, capsys):
        """One while painting too, which must not take the painter along."""
        monkeypatch.setattr(sys, "excepthook", Mistakes(bench.dashboard.say_error))
        bench.show([make.result(0, 3)])
        window = bench.window

        def fail(*_, **__):
            raise RuntimeError("a plot is broken")

        broken = {"traces.paint": (window.traces, "paint"), "images": (window.images, "show_scene")}
        for owner, name in broken.values():
            monkeypatch.setattr(owner, name, fail)
        for seq in range(1, 6):
            bench.show([make.result(seq, 3)])
            window.traces.update()
            QtWidgets.QApplication.processEvents()
            window.grab()
        assert "the run goes on: a plot is broken" in window.said
        assert capsys.readouterr().err.count("Traceback") <= 2
        clock = next(item.reading for item in window.health.items if item.reading.name == "clock")
        assert "frame 5" in clock.text  # what is not broken goes on
        for owner, name in broken.values():
            monkeypatch.delattr(owner, name)
        bench.show([make.result(6, 3)])
        assert bench.window.images.scene.seq == 6
