"""The network engine, mostly with a network whose answers are known: it repeats what it sees."""

import json
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: train)")

from acquire.frame import Frame  # noqa: E402
from model.build import build_network  # noqa: E402
from model.camera import Camera  # noqa: E402
from model.card import SHIPPED_MODEL, Trained, TrainedOptics, card_path, read_model, sha256  # noqa: E402
from model.compare import unmatched  # noqa: E402
from model.decode import puncta_table  # noqa: E402
from model.engines import backends  # noqa: E402
from model.engines.base import ModelError  # noqa: E402
from model.engines.network import TRIAL_SIZE, NetworkEngine  # noqa: E402
from model.engines.onnxruntime import open_onnxruntime  # noqa: E402
from model.engines.session import Session, Table  # noqa: E402
from model.engines.two_states import PATIENCE, TwoStates  # noqa: E402
from model.export import export  # noqa: E402
from model.graph_io import Opening  # noqa: E402
from model.localizations import COLUMNS, Localizations  # noqa: E402
from model.maps import CELL, FIRST_ROOM, denormalize, most_room, normalize, room_for_puncta  # noqa: E402
from model.network import Network  # noqa: E402
from model.optics import add_gaussians  # noqa: E402
from model.puncta import Puncta  # noqa: E402

CAMERA = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=0.0)


class Echo(Network):
    """Finds a punctum at every bright pixel and writes what it saw there into the answer.

    The logarithms of x_sd and y_sd are a tenth of the normalized pixel one frame earlier and later, that of
    σ is the calcium baseline's; the calcium log-odds are the normalized calcium pixel.
    """

    multiple = 4
    has_calcium = True

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def raw(self, frames: torch.Tensor, present: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        frames = frames * present[..., None, None, None]
        middle = self.window // 2
        before, image, after = (frames[:, middle + k, 0] for k in (-1, 0, 1))
        zero = torch.zeros_like(image)
        logit = (20 * (image - 3)).clamp(-20, 20)
        # As `model.heads.bound` turns them into the logarithms.
        photons = torch.log(denormalize(image).clamp(min=1)) - np.log(1000)
        sd_before, sd_after = before / 10 + 1.5, after / 10 + 1.5
        maps = [logit, zero, zero, photons, sd_before, sd_after, zero, frames[:, middle, 2], zero]
        cells = torch.nn.functional.pixel_unshuffle(torch.stack(maps, 1), CELL)
        return cells, frames[:, middle, 1:2]

    def step(
        self, frame: torch.Tensor, present: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        frames = torch.cat([state[0], frame * present.view(1, 1, 1, 1)], 1)
        cells, calcium = self.raw(frames.unflatten(1, (self.window, 3)), torch.ones(1, self.window))
        return cells, calcium, frames[:, 3:]

    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        return ((3 * (self.window - 1), 1),)

    def decoders(self) -> dict[str, tuple[torch.nn.Module, ...]]:
        return {}


@pytest.fixture(scope="module", params=[3, 5])
def echo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("echo") / "echo.onnx"
    optics = TrainedOptics(
        sigma_px=(1, 1.8), photons=(1, 2), background=(1, 2), puncta_per_um2=(1, 2), pixel_size_nm=110
    )
    nothing: dict[str, object] = {"architecture": {}, "metrics": {}, "training": {}, "commit": None}
    export(Echo(request.param), path, Trained(optics=optics, threshold=0.5, **nothing))
    return path


def make(path: Path, camera: Camera = CAMERA, **more: object) -> NetworkEngine:
    return NetworkEngine(camera, 1.3, path, backend="onnxruntime", **more)


def frame(seq: int, shape: tuple[int, int] = (8, 12), n_channels: int = 2) -> Frame:
    """A bright pixel in the last corner and one at [1, 2] above 10 photons, all told by `seq`."""
    pixels = np.full((n_channels, *shape), 110, np.uint16)
    pixels[0, 1, 2] = pixels[0, -1, -1] = 100 + light(seq)
    pixels[1:, 1, 2] = 100 + calcium(seq)
    return Frame(seq, 0.0, pixels)


def light(seq: int) -> int:
    return 1000 + 10 * seq


def calcium(seq: int) -> int:
    return 40 + 3 * (seq % 7)


def scaled(photons: float) -> float:
    return float(normalize(np.float64(photons)))


def by_place(found: Localizations) -> np.ndarray:
    return found.table()[np.argsort(found.x_px)]


def run(engine: NetworkEngine, frames: list[Frame]) -> dict[int, Localizations]:
    answers = [answer for f in frames for answer in engine.step(f)] + engine.flush()
    assert [seq for seq, _ in answers] == [f.seq for f in frames]
    return dict(answers)


def check(
    found: Localizations, seq: int, before: float | None, after: float | None, excess: float = 1
) -> None:
    """The punctum at [1, 2] tells of its frame and of those before and after, None where there is none."""
    k = int(np.argmin(found.x_px))
    assert (found.x_px[k], found.y_px[k]) == (2, 1)
    assert found.photons[k] == pytest.approx(light(seq), rel=1e-3)
    for sd, photons in ((found.x_sd_px[k], before), (found.y_sd_px[k], after)):
        assert 10 * np.log(sd) == pytest.approx(0 if photons is None else scaled(photons / excess), abs=1e-3)
    log_odds = scaled(calcium(seq) / excess)
    assert found.calcium_probability[k] == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from([1, 2]), st.sampled_from([(8, 12), (5, 7)])), max_size=9
    )
)
def test_every_frame_is_answered_once_with_its_own_neighbours(
    echo: Path, moves: list[tuple[int, int, tuple[int, int]]]
) -> None:
    """Frames with gaps, one or two channels, and changes of shape."""
    frames = []
    for step, n_channels, shape in moves:
        # Mostly no gap.
        seq = frames[-1].seq + (step if step < 3 else 1) if frames else step
        frames.append(frame(seq, shape, n_channels))
    answers = run(make(echo), frames)
    for k, f in enumerate(frames):
        neighbours = []
        for other in (k - 1, k + 1):
            joined = (
                0 <= other < len(frames)
                and frames[other].seq == f.seq + other - k
                and frames[other].pixels.shape[1:] == f.pixels.shape[1:]
            )
            neighbours.append(light(frames[other].seq) if joined else None)
        found = answers[f.seq]
        assert len(found) == 2
        assert (found.x_px.max(), found.y_px.max()) == (f.pixels.shape[2] - 1, f.pixels.shape[1] - 1)
        if len(f.pixels) == 2:
            check(found, f.seq, *neighbours)
        else:
            assert np.isnan(found.calcium_probability).all()


def test_an_engine_is_as_new_after_a_flush(echo: Path) -> None:
    engine = make(echo)
    frames = [frame(seq) for seq in range(6)]
    first = run(engine, frames)
    again = run(engine, frames)
    assert engine.flush() == []
    for seq in first:
        np.testing.assert_array_equal(first[seq].table(), again[seq].table())


def test_answers_come_half_a_window_late(echo: Path) -> None:
    engine, late = make(echo), read_model(echo)[1].window // 2
    for seq in range(5):
        assert [answered for answered, _ in engine.step(frame(seq))] == ([seq - late] if seq >= late else [])


def test_the_baseline_is_a_running_mean_that_outlives_gaps(echo: Path) -> None:
    seqs = [0, 1, 2, 3, 7, *range(8, 50)]
    answers = run(make(echo), [frame(seq) for seq in seqs])
    mean = 0.0
    for n, seq in enumerate(seqs, start=1):
        mean += max(1 / n, 0.03) * (calcium(seq) - mean)
        k = int(np.argmin(answers[seq].x_px))
        assert np.log(answers[seq].psf_sigma_px[k]) == pytest.approx(scaled(mean), abs=1e-3)


def test_cameras_with_maps_and_with_multiplication(echo: Path) -> None:
    maps = Camera(
        offset=np.full((8, 12), 100, np.float32),
        e_per_adu=np.ones((8, 12), np.float32),
        read_noise_e=np.zeros((8, 12), np.float32),
    )
    plain, mapped = (run(make(echo, camera), [frame(0), frame(1)]) for camera in (CAMERA, maps))
    np.testing.assert_array_equal(plain[1].table(), mapped[1].table())
    with pytest.raises(ModelError, match=r"camera.offset is a map of shape \(8, 12\) and the image has"):
        make(echo, maps).step(frame(0, (8, 8)))
    emccd = Camera(offset=100.0, e_per_adu=50.0, read_noise_e=0.0, em_gain=50.0)
    for seq, found in run(make(echo, emccd), [frame(0), frame(1)]).items():
        check(found, seq, light(0) if seq else None, None if seq else light(1), excess=2)


def test_a_frame_that_does_not_fit_leaves_what_is_owed(echo: Path) -> None:
    maps = Camera(offset=np.full((8, 12), 100, np.float32), read_noise_e=0.0)
    engine = make(echo, maps)
    answers = [answer for seq in range(3) for answer in engine.step(frame(seq))]
    with pytest.raises(ModelError):
        engine.step(frame(3, (8, 8)))
    assert [seq for seq, _ in answers + engine.flush()] == [0, 1, 2]


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (33, 14), (1, 70)])
def test_images_of_any_size(exported: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    frames = [Frame(k, 0.0, rng.integers(0, 65536, (2, *shape)).astype(np.uint16)) for k in range(3)]
    for found in run(make(exported), frames).values():
        assert np.isfinite(found.table()).all()
        assert ((found.x_px >= -0.5) & (found.x_px <= shape[1] - 0.5)).all()


@pytest.mark.parametrize("shape", [(32, 16), (18, 27)])
@pytest.mark.parametrize("backend", ["onnxruntime", "torch", "openvino"])
def test_every_backend_answers_as_the_network_does_in_training(
    exported: Path,
    running_mean: type,
    backend: str,
    shape: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond an image whose sides are no multiples, the network sees it mirrored."""
    if backend == "openvino":
        in_single_precision(monkeypatch)
    camera = Camera(offset=90.0, e_per_adu=0.5, read_noise_e=2.0)
    counts = np.random.default_rng(2).poisson(140, (5, 2, *shape)).astype(np.uint16)
    frames = [Frame(k, 0.0, pixels) for k, pixels in enumerate(counts)]
    answers = run(NetworkEngine(camera, 1.3, exported, backend=backend), frames)
    photons = (counts - np.float32(90)) * np.float32(0.5)
    for k, wanted in enumerate(answers_in_training(exported, photons, running_mean())):
        assert len(wanted) > 5
        found = answers[k]
        assert len(found) == len(wanted)
        assert unmatched(found.table(), wanted, 0.01) == 0
        place = np.lexsort((wanted[:, 1], wanted[:, 0]))
        np.testing.assert_allclose(by_place(found), wanted[place], rtol=2e-3, atol=2e-3)


def in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenVINO round nothing, where it would use bf16."""
    from model.engines.openvino import open_openvino

    def make(opening: Opening) -> Session:
        return open_openvino(opening, "f32")

    monkeypatch.setitem(backends.BACKENDS, "openvino", ("OpenVINO", make))


def answers_in_training(exported: Path, photons: np.ndarray, baseline: object) -> list[np.ndarray]:
    """Tables of a movie (T, 2, H, W) by whole windows, as training shows them, read variance 4."""
    _, card = read_model(exported)
    network = build_network(card.architecture).eval()
    network.load_state_dict(torch.load(exported.with_suffix(".pt"), weights_only=True))
    means = np.stack([baseline.step(image[1]) for image in photons])
    seen = normalize(np.concatenate([photons, means[:, None]], 1), 4.0)
    height, width = photons.shape[2:]
    seen = np.concatenate([seen, seen[:, :, ::-1]], 2)[:, :, : -(-height // 16) * 16]
    seen = np.concatenate([seen, seen[..., ::-1]], 3)[..., : -(-width // 16) * 16]
    tables = []
    for k in range(len(photons)):
        window, present = np.zeros((1, 3, *seen.shape[1:]), np.float32), np.zeros((1, 3), np.float32)
        for j in range(3):
            if 0 <= k + j - 1 < len(photons):
                window[0, j], present[0, j] = seen[k + j - 1], 1
        with torch.inference_mode():
            cells, log_odds = network.raw(torch.from_numpy(window), torch.from_numpy(present))
            threshold = torch.tensor([card.threshold])
            answers, room = cells[0].permute(1, 2, 0), torch.zeros(most_room(cells.shape[3] * CELL))
            table, _ = puncta_table(Puncta(), answers, log_odds[0, 0], threshold, room, height, width)
        tables.append(table[table[:, COLUMNS.index("probability")] > 0].numpy())
    return tables


def test_openvino_finds_what_onnx_runtime_finds() -> None:
    """With the network that ships, in the precision that OpenVINO takes here by itself."""
    rng = np.random.default_rng(5)
    photons = np.full((64, 64), 10, np.float32)
    at = np.stack(np.meshgrid(np.arange(8, 60, 12), np.arange(8, 60, 12)), -1).reshape(-1, 2)
    at = at + rng.uniform(-0.5, 0.5, at.shape)
    add_gaussians(photons, at[:, 0], at[:, 1], np.full(len(at), 1500.0), np.full(len(at), 1.3))
    images = rng.poisson(photons, (4, 1, 64, 64)) + 100
    counts = np.concatenate([images, np.full_like(images, 130)], 1).astype(np.uint16)
    frames = [Frame(k, 0.0, pixels) for k, pixels in enumerate(counts)]
    one, other = (
        run(NetworkEngine(CAMERA, 1.3, SHIPPED_MODEL, backend=name), frames)
        for name in ("onnxruntime", "openvino")
    )
    for seq, found in one.items():
        assert len(found) == len(other[seq]) == len(at)
        assert unmatched(found.table(), other[seq].table(), 0.05) == 0


def test_the_description_says_what_runs_where_and_why(exported: Path) -> None:
    engine = make(exported, why="because")
    for words in ("untrained network", "3 frames", "threshold 0.3", "ONNX Runtime", "because"):
        assert words in engine.description
    assert "lies outside" not in engine.description
    blurred = NetworkEngine(CAMERA, 2.5, exported, threshold=0.4, backend="onnxruntime").description
    assert "σ of 2.50 px lies outside the 1 to 1.8 px" in blurred and "threshold 0.4" in blurred


def test_mistakes_are_explained(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no"):
        make(tmp_path / "nothing.onnx")
    for threshold in (0.0, 1.0, np.nan):
        with pytest.raises(ModelError, match=r"engine\.threshold is"):
            make(exported, threshold=threshold)
    with pytest.raises(ModelError, match="backend 'magic' is not known"):
        NetworkEngine(CAMERA, 1.3, exported, backend="magic")


def test_what_is_no_answer_of_this_program_is_refused(exported: Path, tmp_path: Path) -> None:
    graph, _ = read_model(exported)
    with pytest.raises(
        ModelError, match="nothing here can run this network: ONNX Runtime fails: "
    ) as refused:
        make(changed(exported, tmp_path / "cut.onnx", graph[:-100]))
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelError, match=r"ONNX Runtime .*OpenVINO|OpenVINO.* ONNX Runtime") as refused:
        NetworkEngine(CAMERA, 1.3, tmp_path / "cut.onnx")
    assert "\n" not in str(refused.value)
    wild = onnx.load_from_string(graph)
    (head,) = [w for w in wild.graph.initializer if w.name == "network.localization.head.weight"]
    numbers = onnx.numpy_helper.to_array(head).copy()
    numbers[0] = np.nan
    head.CopyFrom(onnx.numpy_helper.from_array(numbers, head.name))
    with pytest.raises(ModelError, match="nothing here can run this network: ONNX Runtime") as refused:
        make(changed(exported, tmp_path / "wild.onnx", wild.SerializeToString()))
    assert "\n" not in str(refused.value)
    mute = onnx.load_from_string(graph)
    del mute.graph.output[1]
    with pytest.raises(ModelError, match="ONNX Runtime fails: "):
        make(changed(exported, tmp_path / "mute.onnx", mute.SerializeToString()))


def test_a_model_of_an_earlier_version_is_refused(exported: Path, tmp_path: Path) -> None:
    path = changed(exported, tmp_path / "old.onnx", exported.read_bytes(), format=1)
    with pytest.raises(ModelError, match=r"has format 1, this program reads 3: update .* or export the net"):
        make(path)


def changed(exported: Path, path: Path, graph: bytes, **values: object) -> Path:
    """A model with another graph and a card that says so."""
    path.write_bytes(graph)
    card = json.loads(card_path(exported).read_text()) | {"onnx_sha256": sha256(graph)} | values
    card_path(path).write_text(json.dumps(card))
    return path


class Late:
    """A session with two steps under way, as on a GPU, though it computes at once."""

    max_under_way = 2

    def __init__(self, opening: Opening) -> None:
        self._session = open_onnxruntime(opening, threads=1)
        self._ready: deque[Table] = deque()
        self.description = "late"

    def submit(self, counts: np.ndarray, present: bool, threshold: float) -> None:
        assert len(self._ready) < self.max_under_way
        self._session.submit(counts, present, threshold)
        self._ready.append(self._session.collect())

    def collect(self) -> Table:
        return self._ready.popleft()

    def restart(self, keep_baseline: bool) -> None:
        assert not self._ready
        self._session.restart(keep_baseline)


class Failing(Late):
    """Works until its class is told to fail at a submission or collection to come."""

    left: dict[str, int | None]

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self.description = "the failing one"

    def submit(self, counts: np.ndarray, present: bool, threshold: float) -> None:
        self._count("submit")
        super().submit(counts, present, threshold)

    def collect(self) -> Table:
        self._count("collect")
        return super().collect()

    def _count(self, what: str) -> None:
        if (left := self.left[what]) is not None:
            self.left[what] = left - 1
            if left == 0:
                raise RuntimeError(f"out of memory in {what}\nand more")


class FailingAtOnce(Failing):
    max_under_way = 1


def first_of(opening: Opening) -> Session:
    return open_onnxruntime(opening, threads=1)


def take(monkeypatch: pytest.MonkeyPatch, *makers: Callable[[Opening], object]) -> None:
    """Let "auto" have these backends, called 1, 2 and so on."""
    named = {str(k): (f"backend {k}", make) for k, make in enumerate(makers, start=1)}
    monkeypatch.setattr(backends, "BACKENDS", named)
    monkeypatch.setattr(backends, "AUTO", tuple(named))
    Failing.left = {"submit": None, "collect": None}


MOVIE = [
    *(frame(seq) for seq in range(5)),
    *(frame(seq) for seq in range(7, 10)),
    *(frame(seq, (5, 7)) for seq in range(10, 13)),
]


def test_a_session_with_two_steps_under_way_answers_one_later(
    echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = run(make(echo), MOVIE)
    take(monkeypatch, Late)
    engine = NetworkEngine(CAMERA, 1.3, echo)
    late = read_model(echo)[1].window // 2 + 1
    for seq in range(5):
        assert [answered for answered, _ in engine.step(frame(seq))] == ([seq - late] if seq >= late else [])
    engine.flush()
    for seq, found in run(engine, MOVIE).items():
        np.testing.assert_array_equal(by_place(found), by_place(at_once[seq]))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([Failing, FailingAtOnce]), st.sampled_from(["submit", "collect"]), st.integers(0, 12))
def test_a_session_that_fails_is_replaced_and_no_frame_is_lost(
    echo: Path, kind: type[Failing], what: str, after: int
) -> None:
    """Wherever it fails: all is as it would have been, but for the calcium baseline, which begins anew."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        take(monkeypatch, kind, first_of)
        engine = NetworkEngine(CAMERA, 1.3, echo)
        engine.prepare(8, 12)
        assert "the failing one" in engine.description
        Failing.left[what] = after
        answers = run(engine, MOVIE)
        assert "by ONNX Runtime" in engine.description
        assert f"out of memory in {what})" in engine.description  # while it runs, or when opened for (5, 7)
    undisturbed = run(make(echo), MOVIE)
    baseline = COLUMNS.index("psf_sigma_px")
    for seq, found in answers.items():
        ours, theirs = (np.delete(by_place(table), baseline, 1) for table in (found, undisturbed[seq]))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_session_that_fails_is_logged(
    echo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take(monkeypatch, Failing, first_of)
    engine = NetworkEngine(CAMERA, 1.3, echo)
    engine.prepare(8, 12)
    assert not caplog.records
    Failing.left["submit"] = 3
    run(engine, MOVIE)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    sentence = "the failing one failed: out of memory in submit; trying the next backend"
    assert record.getMessage() == sentence


def test_when_the_last_backend_fails_that_is_said(echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, Failing)
    engine = NetworkEngine(CAMERA, 1.3, echo)
    engine.prepare(8, 12)
    Failing.left["collect"] = 2
    with pytest.raises(ModelError, match="nothing here can run this network"):
        run(engine, MOVIE)


def test_a_backend_that_was_asked_for_is_not_replaced(echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(monkeypatch, Failing)
    monkeypatch.setitem(backends.BACKENDS, "onnxruntime", ("ONNX Runtime", Failing))
    engine = make(echo)
    engine.prepare(8, 12)
    Failing.left["submit"] = 2
    with pytest.raises(ModelError, match=r"^the failing one failed: out of memory in submit$"):
        run(engine, MOVIE)


def test_backends_that_cannot_be_opened_are_passed_over_and_told_of(
    echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(opening: Opening) -> None:
        raise ImportError("no such library")

    def unfit(opening: Opening) -> None:
        raise ModelError("there is no such device")

    take(monkeypatch, absent, unfit, Failing, first_of)
    Failing.left["collect"] = 1
    description = NetworkEngine(CAMERA, 1.3, echo).description
    for words in (
        "backend 1 is not installed",
        "backend 2: there is no such device",
        "backend 3 fails: out of memory in collect",
        "by ONNX Runtime",
    ):
        assert words in description


def test_a_prepared_engine_opens_nothing_at_the_first_frame(
    echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[int, int]] = []

    def counted(opening: Opening) -> Session:
        opened.append((opening.height, opening.width))
        return first_of(opening)

    take(monkeypatch, counted)
    engine = NetworkEngine(CAMERA, 1.3, echo)
    engine.prepare(8, 12)
    assert opened == [TRIAL_SIZE, (8, 12)]
    run(engine, [frame(seq) for seq in (0, 1, 2, 5)])
    assert opened == [TRIAL_SIZE, (8, 12)]
    run(engine, [frame(6, (5, 7))])
    assert opened == [TRIAL_SIZE, (8, 12), (5, 7)]
    unprepared = NetworkEngine(CAMERA, 1.3, echo)
    run(unprepared, [frame(0)])
    assert opened[-2:] == [TRIAL_SIZE, (8, 12)]


def test_another_camera_is_taken_without_opening_anything(
    echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def counted(opening: Opening) -> Session:
        opened.append(opening.height)
        return first_of(opening)

    take(monkeypatch, counted)
    camera = Camera(offset=np.full((8, 12), 93, np.float32), e_per_adu=0.7, read_noise_e=2.0)
    engine = NetworkEngine(CAMERA, 1.3, echo)
    engine.prepare(8, 12)
    n_opened = len(opened)
    engine.use_camera(camera)
    found = run(engine, [frame(seq) for seq in (0, 1, 2, 5)])
    assert len(opened) == n_opened
    with pytest.raises(ModelError, match=r"camera.offset is a map of shape \(8, 13\)"):
        engine.use_camera(Camera(offset=np.zeros((8, 13), np.float32)))
    wanted = run(NetworkEngine(camera, 1.3, echo), [frame(seq) for seq in (0, 1, 2, 5)])
    for seq, puncta in wanted.items():
        np.testing.assert_array_equal(found[seq].table(), puncta.table())


def test_room_that_is_not_needed_any_more_is_given_up(echo: Path) -> None:
    """A crowded frame makes room; when there was none for a while, frames cost little again."""
    graph, card = read_model(echo)
    states = TwoStates(Opening(graph, card, 64, 64, CAMERA, np.eye(2, 3, dtype=np.float32)))
    rooms = []
    for needed in (200, *[5] * 2 * PATIENCE):
        states.release_room()
        states.steps[states.current][1]["needed"][0] = needed
        while states.make_room():
            pass
        rooms.append(states.room[1])
        assert len(states.table) == room_for_puncta(64, rooms[-1])
        states.advance()
    assert rooms[0] == 256 == rooms[PATIENCE - 1] and rooms[-1] == FIRST_ROOM


def test_preparing_for_images_that_the_camera_does_not_fit_is_explained(echo: Path) -> None:
    engine = make(echo, Camera(offset=np.full((8, 12), 100, np.float32)))
    engine.prepare(8, 12)
    with pytest.raises(ModelError, match=r"camera.offset is a map of shape \(8, 12\) and the image has"):
        engine.prepare(12, 8)
