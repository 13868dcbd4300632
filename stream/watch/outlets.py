"""The sockets of a run that dashboards and scripts call: results, desk and pictures."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from msgspec.structs import replace

from stream.config import RunConfig
from stream.dashboards import dashboard_keys
from stream.job import JobEndpoints
from stream.problems import in_words
from stream.process import WATCHED
from stream.status import EndWish, StatusSender
from stream.transport.gate import Gate
from stream.transport.keys import Keys
from stream.transport.results import ResultPublisher
from stream.transport.sockets import Context
from stream.watch.desk import Desk
from stream.watch.pictures import PictureSender

ON_THIS_COMPUTER = "tcp://127.0.0.1:*"


@dataclass(slots=True)
class Outlets:
    """Open sockets; desk and pictures are None where they could not be opened. Close them at last."""

    results: ResultPublisher
    desk: Desk | None = None
    pictures: PictureSender | None = None
    gate: Gate | None = None

    def close(self) -> None:
        """Close all that is open."""
        for socket in (self.desk, self.pictures):
            if socket is not None:
                with suppress(Exception):  # they are not worth a run
                    socket.close()
        self.results.close()
        if self.gate is not None:
            self.gate.close()


def open_outlets(
    config: RunConfig,
    context: Context,
    endpoints: JobEndpoints,
    keys: Keys | None,
    note: Callable[[str], None],
) -> Outlets:
    """Open the sockets that dashboards call; where other computers cannot be served, those of this one.

    Parameters
    ----------
    config, context, endpoints
        The run, and where it listens.
    keys
        Of the way to the source's computer, which gets the results too.
    note
        Hears what could not be opened.

    Raises
    ------
    StreamError
        If not even results can be published here.
    """
    if config.dashboards.address is not None:
        gate = None
        try:
            host_keys = dashboard_keys(config)
            gate = Gate(context, host_keys) if host_keys is not None else None
            return _open(context, endpoints, keys, gate)
        except Exception as error:  # another run may be at that address
            if gate is not None:
                gate.close()
            note(f"only dashboards on this computer can watch this run: {in_words(error, 'desk')}")
        endpoints = replace(endpoints, **dict.fromkeys(WATCHED, ON_THIS_COMPUTER))
    try:
        return _open(context, endpoints, keys, None)
    except Exception as error:
        note(f"no dashboard can watch this run: {in_words(error, 'desk')}")
    return Outlets(ResultPublisher(context, endpoints.results, endpoints.uplink, keys))


def _open(context: Context, endpoints: JobEndpoints, keys: Keys | None, gate: Gate | None) -> Outlets:
    run_id = uuid4().hex
    results = ResultPublisher(context, endpoints.results, endpoints.uplink, keys, gate, run_id)
    outlets = Outlets(results)
    try:
        outlets.pictures = pictures = PictureSender(context, endpoints.pictures, gate, run_id)
        end = partial(_end, context, endpoints.status)
        outlets.desk = Desk(context, endpoints.desk, run_id, results.endpoint, pictures.endpoint, end, gate)
    except Exception:
        outlets.close()  # else the context could not end
        raise
    outlets.gate = gate
    return outlets


def _end(context: Context, endpoint: str) -> None:
    """Ask the supervisor for the end of the run; by a line of its own, as a socket belongs to one thread."""
    status = StatusSender(context, endpoint)
    status.say(EndWish())
    status.close()
