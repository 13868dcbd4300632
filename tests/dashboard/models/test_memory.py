"""All books of this room together: memory that stays flat, and what a result costs."""

import gc
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from dashboard.models.correlation import LiveCorrelation
from dashboard.models.counters import Counters
from dashboard.models.events import EventBook
from dashboard.models.histograms import Histograms
from dashboard.models.raster import Raster
from dashboard.models.rates import Rates
from dashboard.models.traces import TraceBook
from stream.results import CalciumTransient

INTERVAL_S = 0.01


class Stream:
    """Results of `n` puncta: 1 % of the tracks change in each frame, with events and transients."""

    def __init__(self, make_result, make_event, n, seed=0):
        self.make_result, self.make_event = make_result, make_event
        self.random = np.random.default_rng(seed)
        self.ids, self.next_id, self.n_events = np.arange(n), n, 0
        self.pool = [
            make_result(0, n, x=xy[0], y=xy[1], dff=self.random.normal(0, 0.1, n))
            for xy in self.random.uniform(0, 512, (50, 2, n))
        ]

    def result(self, seq):
        one, born, events, transients = self.pool[seq % 50], [], (), ()
        if seq % max(100 // len(self.ids), 1) == 0:
            self.ids = self.ids.copy()
            for place in self.random.integers(0, len(self.ids), max(len(self.ids) // 100, 1)):
                self.ids[place] = self.next_id
                born.append(self.next_id)
                self.next_id += 1
        if seq % 10 == 9:
            track = int(self.ids[seq % len(self.ids)])
            events = (self.make_event(self.n_events, track, onset=seq - 9, peak=seq - 7, end=seq - 1),)
            x, y = self.random.uniform(0, 512, 2)
            transients = (
                CalciumTransient(seq, seq - 9, seq - 7, seq, 0.0, 0.1, x, y, 1.0, 9.0, 4.0, False, False),
            )
            self.n_events += 1
        tracks = replace(one.tracks, track_id=self.ids, born=np.array(born, np.int64))
        calcium = replace(one.calcium, events=events, transients=transients)
        return replace(one, seq=seq, time_s=seq * INTERVAL_S, tracks=tracks, calcium=calcium)


class Books:
    def __init__(self):
        self.traces, self.events, self.raster = TraceBook(INTERVAL_S, 20), EventBook(), Raster()
        self.histograms, self.counters = Histograms(108.0), Counters()
        self.correlation, self.rates = LiveCorrelation(512, 512, 108.0), Rates()
        self.spent = dict.fromkeys(
            ("traces", "events", "raster", "histograms", "counters", "correlation", "rates"), 0.0
        )

    def add(self, result):
        for name in self.spent:
            began = time.thread_time()
            if name == "rates":
                self.rates.add([result], result.time_s)
            else:
                getattr(self, name).add(result)
            self.spent[name] += time.thread_time() - began

    def draw(self, now_s):
        """CPU-ms of what a redraw needs, by book."""
        diffusion = np.full(200, 0.01)
        calls = {
            "traces": lambda: self.traces.view((3,), 20, 10, on_z=3.5, events=self.events.all[-1000:]),
            "events": lambda: self.events.view(None),
            "raster": lambda: self.raster.view(60, now_s),
            "histograms": lambda: self.histograms.view(diffusion),
            "correlation": lambda: self.correlation.view(),
            "rates": lambda: self.rates.view(now_s),
        }
        spent = {}
        for name, call in calls.items():
            began = time.thread_time()
            call()
            spent[name] = (time.thread_time() - began) * 1e3
        return spent


def run(make_result, make_event, n_results, n_puncta):
    """MB of this process after each tenth of so many results, and CPU-ms by book."""
    stream, books, held = Stream(make_result, make_event, n_puncta), Books(), []
    drawn = []
    for seq in range(n_results):
        books.add(stream.result(seq))
        if seq % 40 == 39:
            drawn.append(books.draw(seq * INTERVAL_S))
        if (seq + 1) % (n_results // 10) == 0:
            gc.collect()
            held.append(psutil.Process().memory_info().rss / 1e6)
    add = {name: spent / n_results * 1e3 for name, spent in books.spent.items()}
    view = {name: float(np.mean([d[name] for d in drawn])) for name in drawn[0]}
    return held, add, view


@pytest.mark.timeout(100)
def test_memory_is_flat_over_very_many_results(make_result, make_event):
    """30,000 results of 20 puncta; every window is full after the first fifth, the events' after the last."""
    held, _, _ = run(make_result, make_event, 30_000, 20)
    # 5,000 events of 1 kB are still coming in; a result kept by mistake would be 3 kB, 60 MB in all.
    assert held[-1] - held[2] < 12


def test_a_result_costs_little(make_result, make_event):
    """200 puncta: a few tenths of a millisecond; five times that fails, so that slow computers pass."""
    _, add, view = run(make_result, make_event, 1_500, 200)
    assert sum(add.values()) < 2.0
    assert sum(view.values()) < 8.0
