"""A stand-in for a running Micro-Manager: the protocol of its bridge to Python, in front of pymmcore.

The real thing is Java (org.micromanager.pyjavaz.ZMQServer): one REP socket speaks JSON, arrays follow as raw
message parts, and objects stay on the far side under a hash code. Here the objects are Python's; `exposed`
gives the Java types that the client's checks compare with. The core is pymmcore with two
demo cameras, the acquisition engine is the Python port of Micro-Manager's (fake_engine.py), the window with
its data store is fake_studio.py; fake_micromanager.py puts them together. It runs as a process of its own, as
Micro-Manager does: in one process the client's destructors could run in the server's thread and wait for
themselves.
"""

import inspect
import json
import re
import sys
import threading
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import zmq

VERSION = "5.1.0"  # of the Java server that pyjavaz 1.2 expects
_ARRAYS = {1: "byte-array", 2: "short-array", 4: "int-array"}
_JAVA_TYPES = {
    "char const *": "java.lang.String",
    "bool": "boolean",
    "bool const": "boolean",
    "int": "int",
    "long": "int",
    "long const": "int",
    "unsigned int": "int",
    "double": "double",
    "double const": "double",
    "float const": "float",
    "MM::DeviceType": "mmcorej.DeviceType",
}


def exposed(*types: str) -> Callable[[Any], Any]:
    """A method that clients see, by the Java types of its arguments."""

    def mark(method: Any) -> Any:
        method.types = types
        return method

    return mark


class Java:
    """An object of the far side; `java` is its interface, and the name of its class."""

    java = "java.lang.Object"
    fields: tuple[str, ...] = ()

    def api(self) -> list[dict[str, Any]]:
        """The methods by the bridge's description; one with a default is overloaded, as in Java."""
        methods = []
        for name, method in inspect.getmembers(type(self), lambda member: hasattr(member, "types")):
            count = len(method.types)
            for n_given in range(count - len(method.__defaults__ or ()), count + 1):
                methods.append(_method(name, list(method.types[:n_given])))
        return methods


class Strings(Java):
    """A list of strings as the core gives it; no list for the bridge."""

    java = "mmcorej.StrVector"

    def __init__(self, values: tuple[str, ...]) -> None:
        self._values = values

    @exposed()
    def size(self):
        return len(self._values)

    @exposed("int")
    def get(self, index):
        return self._values[index]


class DeviceType(Java):
    """A kind of device: an object across the bridge, a number in pymmcore."""

    java = "mmcorej.DeviceType"

    def __init__(self, number: int) -> None:
        self._number = number

    @exposed()
    def toString(self):
        return "CameraDevice" if self._number == 2 else "UnknownType"


class TaggedImage(Java):
    """An image of the core with its metadata."""

    java = "mmcorej.TaggedImage"
    fields = ("pix", "tags")

    def __init__(self, pix: np.ndarray, tags: dict[str, object]) -> None:
        size = {"Height": pix.shape[0], "Width": pix.shape[1]}  # numbers in Java, strings in pymmcore
        self.pix, self.tags = pix.ravel(), tags | size


class Core(Java):
    """The core: pymmcore's methods, whose types stand in their docstrings, and two of Java's own."""

    java = "mmcorej.CMMCore"

    def __init__(self, core: Any) -> None:
        self._core = core

    def api(self) -> list[dict[str, Any]]:
        import pymmcore

        methods = super().api()
        for name, method in vars(pymmcore.CMMCore).items():
            for line in (method.__doc__ or "").splitlines():
                parts = re.fullmatch(rf"{name}\(CMMCore self(?:, (.*?))?\)(?: -> .*)?", line)
                types = [] if not parts or not parts[1] else parts[1].split(", ")
                java = [_JAVA_TYPES.get(text.rsplit(" ", 1)[0]) for text in types]
                if parts and None not in java:
                    methods.append(_method(name, java))
        return methods

    @exposed("int")
    def getTaggedImage(self, channel=0):
        core = self._core
        camera = core.getCameraChannelName(channel) or core.getCameraDevice()
        pixels = core.getImage(channel)
        return TaggedImage(pixels, {"Camera": camera, "PixelType": "GRAY16"})

    @exposed()
    def popNextTaggedImage(self):
        image = self._core.pop_next_tagged_image()
        return TaggedImage(image.pix, image.tags)

    @exposed("java.lang.String")
    def getDeviceType(self, label):
        return DeviceType(self._core.getDeviceType(label))

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            result = getattr(self._core, name)(*arguments)
            return Strings(result) if isinstance(result, tuple) else result

        return call


def _method(name: str, types: list[str]) -> dict[str, Any]:
    return {"name": name, "arguments": types, "return-type": "java.lang.Object"}


def array(value: np.ndarray) -> dict[str, Any]:
    """An array as the bridge describes it: flat, as Java's are."""
    return {"type": _ARRAYS[value.dtype.itemsize], "value": value.ravel()}


def pack(message: dict[str, Any]) -> list[bytes]:
    """Message parts: JSON, then a number and the bytes of each array in it."""
    parts: list[bytes] = []

    def take(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            number = len(parts) // 2 + 1
            parts.extend((number.to_bytes(4, sys.byteorder), value.tobytes()))
            return f"@{number:x}"
        if isinstance(value, dict):
            return {key: take(item) for key, item in value.items()}
        return [take(item) for item in value] if isinstance(value, list) else value

    return [json.dumps(take(message)).encode("iso-8859-1"), *parts]


class Server:
    """The bridge: answers requests on its port, and on those of its clients' own sockets.

    Parameters
    ----------
    classes
        What stands for each class that a client may construct, by its Java name: gets the server and the
        constructor's arguments. Their types are `arguments`' entries, none where it has none.
    """

    def __init__(
        self, classes: dict[str, Callable[..., Java]], arguments: dict[str, list[str]], port: int = 0
    ) -> None:
        self.context = zmq.Context.instance()
        self._classes, self._arguments = classes, arguments
        self._objects: dict[str, Any] = {}
        self.port = self.listen(port)

    def listen(self, port: int = 0) -> int:
        """Answer requests on one more port; gives its number."""
        socket = self.context.socket(zmq.REP)
        bound = (
            socket.bind_to_random_port("tcp://127.0.0.1")
            if not port
            else socket.bind(f"tcp://127.0.0.1:{port}")
        )
        threading.Thread(target=self._answer, args=(socket,), daemon=True).start()
        return port or int(bound)

    def free_port(self) -> int:
        """A port that the client is to bind."""
        with self.context.socket(zmq.PUSH) as socket:
            return socket.bind_to_random_port("tcp://127.0.0.1")

    def _answer(self, socket: zmq.Socket[bytes]) -> None:
        while True:
            request = json.loads(socket.recv_multipart()[0].decode("iso-8859-1"))
            try:
                reply = getattr(self, "_" + request["command"].replace("-", "_"))(request)
            except Exception:
                reply = {"type": "exception", "value": traceback.format_exc()}
            socket.send_multipart(pack(reply))

    def _connect(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"type": "none", "version": VERSION}

    def _get_constructors(self, request: dict[str, Any]) -> dict[str, Any]:
        path = request["classpath"]
        known = path in self._classes
        return {"type": "none", "api": [_method(path, self._arguments.get(path, []))] if known else []}

    def _constructor(self, request: dict[str, Any]) -> dict[str, Any]:
        made = self._classes[request["classpath"]](*self._values(request))
        reply = self._encode(made)
        if request.get("new-port"):
            reply["port"] = self.listen()
        return reply

    def _run_method(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._encode(getattr(self._object(request), request["name"])(*self._values(request)))

    def _get_field(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._encode(getattr(self._object(request), request["name"]))

    def _destructor(self, request: dict[str, Any]) -> dict[str, Any]:
        self._objects.pop(request["hash-code"])
        return {"type": "none"}

    def _object(self, request: dict[str, Any]) -> Any:
        return self._objects[request["hash-code"]]

    def _values(self, request: dict[str, Any]) -> list[Any]:
        return [self._object(value) if isinstance(value, dict) else value for value in request["arguments"]]

    def _encode(self, value: Any) -> dict[str, Any]:
        if value is None:
            return {"type": "null"}
        if isinstance(value, str):
            return {"type": "string", "value": value}
        if isinstance(value, bool | int | float):
            return {"type": "primitive", "value": value}
        if isinstance(value, dict):
            return {"type": "object", "class": "JSONObject", "value": json.dumps(value)}
        if isinstance(value, list):
            return {"type": "list", "value": [self._encode(item) for item in value]}
        if isinstance(value, np.ndarray):
            return array(value)
        code = uuid.uuid4().hex
        self._objects[code] = value
        return {
            "type": "unserialized-object",
            "class": value.java,
            "hash-code": code,
            "port": self.port,
            "interfaces": [value.java],
            "fields": list(value.fields),
            "api": value.api(),
        }
