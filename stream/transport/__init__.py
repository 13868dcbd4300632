"""Sockets between source and analysis: lossless or live, with a reliable control channel beside them.

Frames travel on PUSH/PULL (lossless: a bounded queue, the source waits) or PUB/SUB (live: never waits,
the newest frame wins, every missing `seq` is counted). Start, end and failures travel on a pair of
ROUTER and DEALER sockets, since PUB drops silently. Between processes, ZeroMQ's own heartbeats tell
either side that the other is gone, even while Python is busy; `inproc` has no connections to lose.
"""
