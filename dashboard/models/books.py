"""What is kept of one run: every book takes every result."""

from dashboard.models.correlation import LiveCorrelation
from dashboard.models.counters import Counters
from dashboard.models.display import LONGEST_TRACE_S
from dashboard.models.events import EventBook
from dashboard.models.histograms import Histograms
from dashboard.models.history import History
from dashboard.models.raster import Raster
from dashboard.models.traces import TraceBook
from dashboard.models.tracks import TrackBook
from stream import wire
from stream.results import FrameResult

HISTORY_S = 60.0


class Books:
    """The books of one run."""

    def __init__(self, session: wire.Session) -> None:
        _, height, width = session.shape
        self.session = session
        self.history = History(HISTORY_S)
        self.tracks = TrackBook(session.pixel_size_nm, session.interval_s)
        self.traces = TraceBook(session.interval_s, LONGEST_TRACE_S)
        self.events = EventBook()
        self.raster = Raster()
        self.histograms = Histograms(session.pixel_size_nm)
        self.counters = Counters()
        self.correlation = (
            LiveCorrelation(height, width, session.pixel_size_nm) if session.has_calcium else None
        )

    def add(self, result: FrameResult) -> None:
        """Take in a result; they come in order."""
        self.history.add(result)
        for book in (self.tracks, self.traces, self.events, self.raster, self.histograms, self.counters):
            book.add(result)
        if self.correlation is not None:
            self.correlation.add(result)
