"""Micro-Manager's acquisition engine for the stand-in: the Python port of it, behind the Java side's classes.

What a client gets through it is what pycromanager's `Acquisition` in Java mode needs: events by one socket,
images to and from a processing function by two, notifications by one. Images that come back are not stored,
and nothing is saved.
"""

import json
import queue
import threading
from typing import Any

import zmq
from fake_bridge import Java, Server, array, exposed, pack
from ndstorage.ndram_dataset import NDRAMDataset
from pycromanager.acquisition.acq_eng_py.internal.engine import Engine
from pycromanager.acquisition.acq_eng_py.main.AcqEngPy_Acquisition import Acquisition as PortedAcquisition
from pycromanager.acquisition.acq_eng_py.main.acquisition_event import AcquisitionEvent


class Storage(Java):
    """Where images are kept: in memory."""

    java = "org.micromanager.ndtiffstorage.NDTiffAPI"

    @exposed()
    def getDiskLocation(self):
        return None

    @exposed()
    def getSummaryMetadata(self):
        return {}


class Sink(Java):
    """What receives the images."""

    java = "org.micromanager.acqj.api.AcqEngJDataSink"

    def __init__(self, saved: threading.Event) -> None:
        self._saved = saved

    @exposed()
    def getStorage(self):
        return Storage()

    @exposed()
    def isFinished(self):
        return self._saved.is_set()


class Listener:
    """Hands an acquisition's notifications on, as JSON."""

    def __init__(self, saved: threading.Event) -> None:
        self.queue: queue.Queue[dict[str, Any]] = queue.Queue()
        self._saved = saved

    def post_notification(self, notification: Any) -> None:
        payload = notification.payload
        if notification.is_image_saved_notification():
            payload = json.dumps(payload)  # the kind that the client reads for images in memory
        kind = notification.type.to_string()
        self.queue.put({"type": kind, "milestone": notification.milestone, "payload": payload})
        if notification.is_data_sink_finished_notification():
            self._saved.set()


class Acquisition(Java):
    """One acquisition, with the port that its events come by."""

    java = "org.micromanager.acqj.api.AcquisitionAPI"

    def __init__(self, server: Server, core: Any) -> None:
        Engine(core)  # the first one counts
        self._saved = threading.Event()
        self._ported = PortedAcquisition(NDRAMDataset())
        self._listener = Listener(self._saved)
        self._ported.add_acq_notification_listener(self._listener)
        self._port = server.free_port()
        self._events = server.context.socket(zmq.PULL)
        threading.Thread(target=self._take_events, daemon=True).start()

    def _take_events(self) -> None:
        self._events.connect(f"tcp://127.0.0.1:{self._port}")
        while True:
            events = json.loads(self._events.recv_multipart()[0])["events"]
            if events[0].get("special") == "acquisition-end":
                self._ported.finish()
                return
            made = [AcquisitionEvent.from_json(event, self._ported) for event in events]
            self._ported.submit_event_iterator(iter(made))

    @exposed()
    def getEventPort(self):
        if not self._ported.is_started():
            self._ported.start()
        return self._port

    @exposed()
    def getDataSink(self):
        return Sink(self._saved)

    @exposed("org.micromanager.remote.RemoteImageProcessor")
    def addImageProcessor(self, processor):
        self._ported.add_image_processor(processor)

    @exposed()
    def areEventsFinished(self):
        return self._ported.are_events_finished()

    @exposed()
    def isFinished(self):
        return self._ported.are_events_finished() and self._saved.is_set()

    @exposed("double")
    def blockUntilEventsFinished(self, seconds):
        self._ported.block_until_events_finished(seconds)

    @exposed()
    def waitForCompletion(self):
        self._ported.block_until_events_finished()
        self._saved.wait()

    @exposed()
    def checkForExceptions(self):
        self._ported.check_for_exceptions()

    @exposed()
    def abort(self):
        self._ported.abort()


class Factory(Java):
    """Makes acquisitions."""

    java = "org.micromanager.remote.RemoteAcquisitionFactory"

    def __init__(self, server: Server, core: Any) -> None:
        self._server, self._core = server, core

    @exposed("java.lang.String", "java.lang.String", "boolean", "int", "boolean")
    def createAcquisition(self, folder, name, show, queue_size, debug):
        if folder is not None:
            raise NotImplementedError("the stand-in saves no files")
        return Acquisition(self._server, self._core)


class Notifications(Java):
    """Pushes an acquisition's notifications to the client."""

    java = "org.micromanager.remote.RemoteNotificationHandler"

    def __init__(self, server: Server, acquisition: Acquisition) -> None:
        self._queue = acquisition._listener.queue
        self._socket = server.context.socket(zmq.PUSH)
        self._port = self._socket.bind_to_random_port("tcp://127.0.0.1")

    @exposed()
    def getPort(self):
        return self._port

    @exposed()
    def start(self):
        threading.Thread(target=self._push, daemon=True).start()

    def _push(self) -> None:
        while True:
            self._socket.send_multipart(pack(self._queue.get()))

    @exposed()
    def notificationHandlingComplete(self):
        pass


class Processor(Java):
    """Sends each image to the client's processing function and takes what it gives back."""

    java = "org.micromanager.remote.RemoteImageProcessor"

    def __init__(self, server: Server) -> None:
        self._push, self._pull = server.context.socket(zmq.PUSH), server.context.socket(zmq.PULL)
        self._push_port = self._push.bind_to_random_port("tcp://127.0.0.1")
        self._pull_port = server.free_port()

    def set_acq_and_queues(self, _: Any, source: Any, sink: Any) -> None:
        self._source, self._sink = source, sink

    @exposed()
    def getPullPort(self):
        return self._pull_port

    @exposed()
    def getPushPort(self):
        return self._push_port

    @exposed()
    def startPull(self):
        self._pull.connect(f"tcp://127.0.0.1:{self._pull_port}")
        threading.Thread(target=self._take, daemon=True).start()

    @exposed()
    def startPush(self):
        threading.Thread(target=self._give, daemon=True).start()

    def _give(self) -> None:
        while True:
            image = self._source.get()
            if image.tags is None and image.pix is None:
                self._last = image
                self._push.send_multipart(pack({"special": "finished"}))
                return
            size = {key: int(image.tags[key]) for key in ("Width", "Height")}  # numbers in Java, strings here
            self._push.send_multipart(pack({"metadata": image.tags | size, "pixels": array(image.pix)}))

    def _take(self) -> None:
        while "special" not in json.loads(self._pull.recv_multipart()[0].decode("iso-8859-1")):
            pass  # processed images are not stored
        self._sink.put(self._last)
