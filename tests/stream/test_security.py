"""Keys, the gate, and what leaves this computer in the clear (nothing)."""

import os
import re
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import numpy as np
import pytest
import zmq
import zmq.auth
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import Frame, SourceInfo
from stream import wire
from stream.config import ConfigError
from stream.config_live import NetworkConfig
from stream.load import load_config
from stream.network import network_keys
from stream.pipeline import Supervisor
from stream.results import StreamError
from stream.transport.gate import UNTIL_SHUT, Gate
from stream.transport.keys import Keys, load_keys, make_keys
from stream.transport.receiver import FrameReceiver
from stream.transport.results import ResultPublisher
from stream.transport.sender import FrameSender
from stream.transport.sockets import Endpoints, bind, connect, is_local, make_socket
from stream.transport.watch import NO_KEYS, Watch

pytestmark = pytest.mark.timeout(60)

INFO = SourceInfo("test", (2, 8, 10), None, 0.01, 100.0, 16, "made by the test")
TCP = "tcp://127.0.0.1:*"


def joined(folder: Path, own: str, peer: str) -> Path:
    """A folder as the computer `own` has it, with the public key of `peer`."""
    here = folder / f"{own}_knows_{peer}"
    here.mkdir()
    for name in (f"{own}.secret", f"{own}.public", f"{peer}.public"):
        shutil.copy(folder / name, here)
    return here


@pytest.fixture
def pairs(tmp_path) -> SimpleNamespace:
    """Keys of a microscope and its server, of a stranger, and of a server that was given a wrong key."""
    folder = tmp_path / "keys"
    for name in ("microscope", "server", "stranger"):
        make_keys(folder, name)
    return SimpleNamespace(
        folder=folder,
        microscope=load_keys(joined(folder, "microscope", "server")),
        server=load_keys(joined(folder, "server", "microscope")),
        stranger=load_keys(joined(folder, "stranger", "microscope")),
        deceived=load_keys(joined(folder, "server", "stranger")),
    )


# --- files ---


def test_a_key_pair_is_made_and_read(tmp_path):
    secret, public = make_keys(tmp_path / "new" / "keys", "microscope")
    _, server_public = make_keys(tmp_path, "server")
    shutil.copy(server_public, secret.parent)
    shutil.copy(public, tmp_path)
    keys, server = load_keys(secret.parent), load_keys(tmp_path)
    assert zmq.curve_public(keys.secret) == keys.public
    assert (server.peer, server.public) == (keys.public, keys.peer)
    assert keys.secret.decode() in secret.read_text() and keys.secret.decode() not in public.read_text()
    assert keys.secret.decode() not in repr(keys)  # nor in any traceback
    # pyzmq's own reader takes them too, for users' scripts.
    assert zmq.auth.load_certificate(secret) == (keys.public, keys.secret)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such rights")
def test_only_the_owner_can_read_a_secret_key(tmp_path):
    secret, _ = make_keys(tmp_path, "microscope")
    assert secret.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", ["microscope.secret", "microscope.public"])
def test_keys_are_never_overwritten(tmp_path, there):
    (tmp_path / there).write_text("mine")
    with pytest.raises(StreamError, match="exists and is never overwritten"):
        make_keys(tmp_path, "microscope")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "x" * 100])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(StreamError, match="is no name for key files"):
        make_keys(tmp_path, name)


def test_keys_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StreamError, match="cannot write keys into"):
        make_keys(tmp_path / "file", "microscope")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: shutil.rmtree(f), "holds no secret key of this computer; make one here: `piezo1 keys"),
        (lambda f: (f / "microscope.secret").unlink(), "holds no secret key of this computer"),
        (lambda f: shutil.copy(f.parent / "server.secret", f), r"microscope\.secret and server\.secret"),
        (lambda f: shutil.copy(f / "microscope.public", f / "microscope.secret"), "holds a public key only"),
        (lambda f: (f / "server.public").unlink(), r"holds none: copy its \*\.public file there"),
        (lambda f: shutil.copy(f.parent / "stranger.public", f), r"server\.public and stranger\.public"),
        (lambda f: shutil.copy(f.parent / "server.secret", f / "server.public"), "must not leave its"),
        (lambda f: (f / "server.public").write_bytes(bytes(range(256)) * 20), "or a damaged one"),
        (lambda f: (f / "microscope.secret").write_text('public-key = "abc"'), "or a damaged one"),
        (lambda f: swap(f / "microscope.secret", f.parent / "server.secret"), "or a damaged one"),
        (lambda f: ((f / "server.public").unlink(), (f / "server.public").mkdir()), "cannot read"),
    ],
)
def test_a_folder_without_the_right_keys_is_told_in_a_sentence(pairs, change, sentence):
    here = joined(pairs.folder, "microscope", "stranger").rename(pairs.folder / "here")
    (here / "stranger.public").unlink()
    shutil.copy(pairs.folder / "server.public", here)
    assert load_keys(here) == pairs.microscope
    change(here)
    with pytest.raises(StreamError, match=f"network.keys: .*{sentence}"):
        load_keys(here)


def swap(path: Path, other: Path) -> None:
    """Give a pair the public key of another pair."""
    pattern = re.compile(r"public-key = .*")
    path.write_text(pattern.sub(lambda _: pattern.search(other.read_text())[0], path.read_text()))


@given(st.binary(max_size=400))
@settings(max_examples=50, deadline=None)
def test_no_content_of_a_key_file_ends_in_a_traceback(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, "server")
    text = b'public-key = "' + content + b'"\nsecret-key = "' + content + b'"\n'
    (folder / "server.secret").write_bytes(text)
    with pytest.raises(StreamError):
        load_keys(folder)


# --- in the clear ---


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///run/x", True),
        ("inproc://x", True),
        ("tcp://127.0.0.1:*", True),
        ("tcp://127.3.2.1:5600", True),
        ("tcp://localhost:5600", True),
        ("tcp://[::1]:5600", True),
        ("tcp://0.0.0.0:5600", False),
        ("tcp://*:5600", False),
        ("tcp://192.168.1.20:5600", False),
        ("tcp://microscope:5600", False),
        ("tcp://localhost.lab.org:5600", False),
        ("tcp://127.0.0.1.lab.org:5600", False),
        ("tcp://eth0:5600", False),
        ("tcp://[::]:5600", False),
    ],
)
def test_what_is_local(endpoint, local):
    assert is_local(endpoint) == local


@pytest.mark.parametrize("endpoint", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://localhost.lab.org:5600"])
@pytest.mark.parametrize("use", [bind, connect])
def test_nothing_leaves_this_computer_in_the_clear(endpoint, use):
    context = zmq.Context()
    socket = make_socket(context, zmq.DEALER)
    with pytest.raises(StreamError, match="in the clear: make keys with `piezo1 keys`"):
        use(socket, endpoint)
    assert socket.closed
    context.term()


def test_neither_results_nor_frames_leave_in_the_clear():
    context = zmq.Context()
    far = Endpoints("tcp://192.0.2.1:5600", "tcp://192.0.2.1:5601", "")
    for refused in (
        lambda: ResultPublisher(context, "tcp://0.0.0.0:*"),
        lambda: FrameSender(context, Endpoints("tcp://0.0.0.0:*", TCP, ""), "live"),
        lambda: FrameSender(context, Endpoints(TCP, "tcp://0.0.0.0:*", ""), "lossless"),
        lambda: FrameReceiver(context, far, "live", Event()),
    ):
        with pytest.raises(StreamError, match="in the clear"):
            refused()
    context.term()  # waits for ever when a socket was left open


def test_a_listener_with_keys_but_no_gate_would_refuse_everybody(pairs):
    context = zmq.Context()
    gate = Gate(context, pairs.microscope)
    socket = make_socket(context, zmq.DEALER)
    endpoint = bind(socket, TCP, gate)
    gate.close()
    caller = make_socket(context, zmq.DEALER)
    connect(caller, endpoint, pairs.server)
    caller.send(b"hello")
    assert not socket.poll(500)
    context.destroy(0)


def test_a_host_name_is_resolved_to_listen(pairs):
    context = zmq.Context()
    socket = make_socket(context, zmq.DEALER)
    assert bind(socket, "tcp://localhost:*").startswith("tcp://127.0.0.1:")
    socket.close()
    gate = Gate(context, pairs.microscope)
    with pytest.raises(StreamError, match="is not known here"):
        bind(make_socket(context, zmq.DEALER), "tcp://no.such.host.invalid:5600", gate)
    with pytest.raises(StreamError, match="no address of this computer"):
        bind(make_socket(context, zmq.DEALER), "tcp://192.0.2.1:5600", gate)
    gate.close()
    context.term()


def test_a_name_that_means_only_this_computer_is_no_place_to_listen(pairs, monkeypatch):
    monkeypatch.setattr("stream.transport.sockets.gethostbyname", lambda host: "127.0.1.1")
    context = zmq.Context()
    gate = Gate(context, pairs.microscope)
    with pytest.raises(
        StreamError, match=r"microscope is 127\.0\.1\.1 here, which no other computer reaches"
    ):
        bind(make_socket(context, zmq.DEALER), "tcp://microscope:5600", gate)
    gate.close()
    context.term()


@pytest.mark.parametrize(
    ("network", "error", "sentence"),
    [
        ({"role": "source", "address": "tcp://0.0.0.0:5600"}, StreamError, "`piezo1 keys`"),
        ({"role": "analysis", "address": "tcp://microscope:5600"}, StreamError, "`piezo1 keys`"),
        ({"role": "analysis", "address": "tcp://0.0.0.0:5600"}, ConfigError, "own number or name"),
        ({"role": "source", "address": "tcp://0.0.0.0:65533"}, ConfigError, "the three behind it"),
        ({"role": "source"}, ConfigError, "needs an address"),
        ({"role": "source", "address": "tcp://0.0.0.0:56", "keys": "none"}, StreamError, "no secret key"),
    ],
)
def test_a_network_that_cannot_be_is_told_before_anything_starts(tmp_path, sample, network, error, sentence):
    options = {f"network.{key}": value for key, value in network.items()}
    options |= {"source.path": sample / "movie.tif", "output.folder": tmp_path / "runs"}
    with pytest.raises(error, match=sentence):
        Supervisor(load_config(options=options))
    assert not (tmp_path / "runs").exists()


def test_threads_of_one_process_are_no_two_computers(settings):
    with pytest.raises(ConfigError, match="leave --one-process out"):
        Supervisor(
            load_config(options=settings(network__role="source", network__address="tcp://127.0.0.1:5600")),
            transport="inproc",
        )


def test_one_computer_needs_no_keys():
    assert network_keys(NetworkConfig()) is None
    assert network_keys(NetworkConfig(role="source", address="tcp://127.0.0.1:5600")) is None


# --- who gets in ---


class Microscope(Thread):
    """A source behind a gate (or, with keys None, in the clear) that sends five frames to whoever gets in."""

    def __init__(self, keys: Keys | None, delivery="lossless", timeout_s=2.0, n=5):
        super().__init__()
        self.context = zmq.Context()
        self.gate = Gate(self.context, keys) if keys else None
        self.sender = FrameSender(self.context, Endpoints(TCP, TCP, ""), delivery, self.gate)
        self.endpoints = self.sender.endpoints
        self.notes, self.stop, self.error, self.n = [], Event(), None, n
        self.timeout_s = timeout_s
        self.start()

    def run(self):
        try:
            if self.sender.start(INFO, self.stop, self.timeout_s, self.notes.append):
                for seq in range(self.n):
                    self.sender.send(Frame(seq, seq * 0.01, np.full((2, 8, 10), seq, np.uint16)), self.stop)
                self.sender.finish(self.n, {}, "end")
        except StreamError as error:
            self.error = str(error)

    def close(self):
        self.stop.set()
        self.join(10)
        self.sender.close()
        if self.gate:
            self.gate.close()
        self.context.term()


@contextmanager
def a_microscope(*args, **kwargs):
    microscope = Microscope(*args, **kwargs)
    try:
        yield microscope
    finally:
        microscope.close()


@contextmanager
def an_analysis(endpoints, keys, delivery="lossless"):
    context = zmq.Context()
    receiver = FrameReceiver(context, endpoints, delivery, Event(), keys)
    try:
        yield receiver
    finally:
        receiver.close()
        context.term()


@pytest.mark.parametrize("delivery", ["lossless", "live"])
def test_the_right_keys_let_every_frame_through(pairs, delivery):
    with (
        a_microscope(pairs.microscope, delivery) as source,
        an_analysis(source.endpoints, pairs.server, delivery) as receiver,
    ):
        assert receiver.start() == INFO
        seqs = []
        while (arrival := receiver.receive()) is not None:
            assert np.all(arrival.frame.pixels == arrival.frame.seq)
            seqs.append(arrival.frame.seq)
        source.join(10)
        assert source.error is None and source.notes == []
        assert len(seqs) + receiver.skipped == 5 and seqs[-1] == 4


@pytest.mark.parametrize(
    ("source_keys", "analysis_keys", "at_the_analysis", "at_the_source"),
    [
        ("microscope", "stranger", "does not know this computer's key", "its key .* is not the one in"),
        ("microscope", "deceived", "drops every call: its key is not", "expects another key"),
        ("microscope", None, "one side uses keys and the other none|drops every call", "no keys|none"),
        (None, "server", "one side uses keys and the other none|drops every call", ""),
    ],
)
def test_a_wrong_key_is_told_on_both_sides_in_bounded_time(
    pairs, source_keys, analysis_keys, at_the_analysis, at_the_source
):
    keys = {name: getattr(pairs, name) for name in ("microscope", "server", "stranger", "deceived")}
    began = time.monotonic()
    with (
        a_microscope(keys.get(source_keys)) as source,
        an_analysis(source.endpoints, keys.get(analysis_keys)) as receiver,
    ):
        with pytest.raises(StreamError, match=at_the_analysis) as told:
            receiver.start(timeout_s=None)
        assert str(told.value).startswith(f"no way to the source at {source.endpoints.control}")
        assert time.monotonic() - began < 5
        source.join(10)
        assert source.error == "the analysis was not there within 2 s"  # and not that it disappeared
        if at_the_source:
            assert len(source.notes) in (1, 2)
            assert any(re.search(at_the_source, note) for note in source.notes), source.notes
        assert source.sender.n_sent == 0 and not source.sender.is_announced


def test_a_stranger_that_listens_hears_nothing(pairs):
    """Without keys, with others, or subscribed before the run: no message ever reaches it."""
    with a_microscope(pairs.microscope, "live", timeout_s=10) as source:
        context = zmq.Context()
        spies = []
        for keys in (None, pairs.stranger):
            for endpoint, kind in (
                (source.endpoints.frames, zmq.SUB),
                (source.endpoints.control, zmq.DEALER),
            ):
                spy = make_socket(context, kind)
                if kind == zmq.SUB:
                    spy.setsockopt(zmq.SUBSCRIBE, b"")
                connect(spy, endpoint, keys)
                spies.append(spy)
        time.sleep(0.3)
        with an_analysis(source.endpoints, pairs.server, "live") as receiver:
            receiver.start()
            while receiver.receive() is not None:
                pass
        source.join(10)
        assert source.error is None and source.sender.n_sent == 5
        assert not any(spy.poll(50) for spy in spies)
        context.destroy(0)


def test_strangers_that_come_and_go_do_not_end_a_run(pairs):
    """A port scanner's connection that closes must not be taken for the analysis' own."""
    from socket import create_connection

    with a_microscope(pairs.microscope, n=3000, timeout_s=10) as source:
        with an_analysis(source.endpoints, pairs.server) as receiver:
            receiver.start()
            n = 0
            while receiver.receive() is not None:
                n += 1
                if n % 100 == 0:
                    for endpoint in (source.endpoints.control, source.endpoints.frames):
                        create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))).close()
            assert n == 3000
        source.join(10)
        assert source.error is None


def test_a_second_analysis_is_turned_away_while_one_is_there(pairs):
    with (
        a_microscope(pairs.microscope, timeout_s=10) as source,
        an_analysis(source.endpoints, pairs.server) as receiver,
    ):
        receiver.start()
        assert receiver.receive().frame.seq == 0
        with (
            an_analysis(source.endpoints, pairs.server) as late,
            pytest.raises(StreamError, match="busy with another analysis"),
        ):
            late.start(timeout_s=None)
        while receiver.receive() is not None:
            pass
        source.join(10)
        assert source.error is None


def test_the_gate_shuts_only_what_admits_one(pairs):
    context = zmq.Context()
    gate = Gate(context, pairs.microscope)
    one, many = (make_socket(context, zmq.DEALER) for _ in range(2))
    endpoints = bind(one, TCP, gate, UNTIL_SHUT), bind(many, TCP, gate)
    gate.shut()
    for socket, endpoint, arrives in zip((one, many), endpoints, (False, True), strict=True):
        caller = make_socket(context, zmq.DEALER)
        connect(caller, endpoint, pairs.server)
        caller.send(b"hello")
        assert bool(socket.poll(1000 if arrives else 300)) == arrives
        caller.close(0)
        socket.close(0)
    gate.close()
    context.destroy(0)


def test_another_delivery_is_told_on_both_sides(pairs):
    with (
        a_microscope(pairs.microscope, "live", timeout_s=10) as source,
        an_analysis(source.endpoints, pairs.server, "lossless") as receiver,
    ):
        with pytest.raises(StreamError, match="give both computers the same") as told:
            receiver.start(timeout_s=None)
        receiver.fail(str(told.value))
        source.join(10)
        assert "give both computers the same source.delivery" in source.error


@pytest.mark.parametrize("older", ["analysis", "source"])
def test_another_version_is_told_on_both_sides(pairs, older):
    version = wire.VERSION + (1 if older == "source" else -1)
    with (
        a_microscope(pairs.microscope, timeout_s=10) as source,
        an_analysis(source.endpoints, pairs.server) as receiver,
    ):
        receiver._say(wire.Hello(version))
        source.join(10)
        assert source.error.endswith(f"update this program where the {older} runs")
        with pytest.raises(StreamError, match=f"update this program where the {older} runs"):
            receiver.start(timeout_s=None)


def test_a_connection_is_only_gone_when_the_peer_itself_is(pairs):
    context, other = zmq.Context(), zmq.Context()
    gate = Gate(context, pairs.microscope)
    listener = make_socket(context, zmq.DEALER)
    watch = Watch(listener)
    endpoint = bind(listener, TCP, gate)
    stranger = make_socket(other, zmq.DEALER)
    connect(stranger, endpoint, pairs.stranger)
    time.sleep(0.3)
    stranger.close(0)
    time.sleep(0.1)
    assert not watch.came() and not watch.gone()
    peer = make_socket(other, zmq.DEALER)
    connect(peer, endpoint, pairs.server)
    peer.send(b"hello")
    assert listener.recv() == b"hello"
    assert watch.came() and not watch.gone()
    peer.close(0)
    deadline = time.monotonic() + 2
    while not watch.gone() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert watch.gone()
    assert NO_KEYS not in watch.refused()
    watch.close()
    gate.close()
    other.destroy(0)
    context.destroy(0)
