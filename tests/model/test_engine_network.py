"""The network engine, mostly with a network whose answers are known: it repeats what it sees."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: train)")
pytest.importorskip("onnxscript", reason="onnxscript is not installed (extra: train)")

from acquire.frame import Frame  # noqa: E402
from model.baseline import Baseline  # noqa: E402
from model.build import build_network  # noqa: E402
from model.camera import Camera  # noqa: E402
from model.card import Trained, TrainedOptics, read_model  # noqa: E402
from model.decode import decode  # noqa: E402
from model.engines.base import ModelError  # noqa: E402
from model.engines.network import NetworkEngine  # noqa: E402
from model.engines.runtimes import make_runtime, zero_state  # noqa: E402
from model.export import export  # noqa: E402
from model.localizations import Localizations  # noqa: E402
from model.maps import N_MAPS, denormalize, normalize  # noqa: E402
from model.network import Answer, Network  # noqa: E402

CAMERA = Camera(offset=100.0, e_per_adu=1.0, read_noise_e=0.0)


class Echo(Network):
    """Finds a punctum at every bright pixel and writes what it saw there into the answer.

    x_sd and y_sd are exponentials of the normalized pixel one frame earlier and later, σ of the calcium
    baseline's; the calcium log-odds are the normalized calcium pixel.
    """

    multiple = 4
    has_calcium = True

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, frames: torch.Tensor, present: torch.Tensor) -> Answer:
        frames = frames * present[..., None, None, None]
        middle = self.window // 2
        before, image, after = (frames[:, middle + k, 0] for k in (-1, 0, 1))
        zero = torch.zeros_like(image)
        logit = (20 * (image - 3)).clamp(-20, 20)
        photons = torch.log(denormalize(image).clamp(min=1))
        maps = [logit, zero, zero, photons, before, after, zero, frames[:, middle, 2], zero]
        return Answer(torch.stack(maps, 1), frames[:, middle, 1:2])

    def step(
        self, frame: torch.Tensor, present: torch.Tensor, *state: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        frames = torch.cat([state[0], frame * present.view(1, 1, 1, 1)], 1)
        maps, calcium = self.forward(frames.unflatten(1, (self.window, 3)), torch.ones(1, self.window))
        assert calcium is not None
        return maps, calcium, frames[:, 3:]

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
        assert np.log(sd) == pytest.approx(0 if photons is None else scaled(photons / excess), abs=1e-3)
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
                and frames[other].pixels.shape == f.pixels.shape
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


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (33, 14)])
def test_images_of_any_size(exported: Path, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    frames = [Frame(k, 0.0, rng.integers(0, 65536, (2, *shape)).astype(np.uint16)) for k in range(3)]
    for found in run(make(exported), frames).values():
        assert np.isfinite(found.table()).all()
        assert ((found.x_px >= -0.5) & (found.x_px <= shape[1] - 0.5)).all()


@pytest.mark.parametrize("shape", [(16, 32), (18, 27)])
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_the_engine_answers_as_the_network_does_in_training(
    exported: Path, backend: str, shape: tuple[int, int]
) -> None:
    """Beyond an image whose sides are no multiples, the network sees it mirrored."""
    if backend == "openvino":
        sys.modules.setdefault("openvino_telemetry", None)  # as the engine does: nothing is reported
    pytest.importorskip(backend)
    _, card = read_model(exported)
    network = build_network(card.architecture).eval()
    network.load_state_dict(torch.load(exported.with_suffix(".pt"), weights_only=True))
    camera = Camera(offset=90.0, e_per_adu=0.5, read_noise_e=2.0)
    counts = np.random.default_rng(2).poisson(140, (5, 2, *shape)).astype(np.uint16)
    frames = [Frame(k, 0.0, pixels) for k, pixels in enumerate(counts)]
    answers = run(NetworkEngine(camera, 1.3, exported, backend=backend), frames)
    photons = (counts - np.float32(90)) * np.float32(0.5)
    baseline = Baseline()
    means = np.stack([baseline.step(image[1]).copy() for image in photons])
    seen = normalize(np.concatenate([photons, means[:, None]], 1), 4.0)
    height, width = shape
    seen = np.concatenate([seen, seen[:, :, ::-1]], 2)[:, :, : -(-height // 16) * 16]
    seen = np.concatenate([seen, seen[..., ::-1]], 3)[..., : -(-width // 16) * 16]
    for k in range(5):
        window, present = np.zeros((1, 3, *seen.shape[1:]), np.float32), np.zeros((1, 3), np.float32)
        for j in range(3):
            if 0 <= k + j - 1 < 5:
                window[0, j], present[0, j] = seen[k + j - 1], 1
        with torch.inference_mode():
            maps, calcium_maps = network(torch.from_numpy(window), torch.from_numpy(present))
        inside = np.s_[..., :height, :width]
        wanted = decode(maps[0].numpy()[inside], calcium_maps[0, 0].numpy()[inside], card.threshold)
        assert len(wanted) > 5
        np.testing.assert_allclose(by_place(answers[k]), by_place(wanted), rtol=1e-3, atol=1e-3)


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


def test_a_graph_that_does_not_run_is_explained(exported: Path) -> None:
    graph, card = read_model(exported)
    with pytest.raises(ModelError, match="ONNX Runtime fails: ") as refused:
        make_runtime("auto", graph[:-100], card)
    assert "\n" not in str(refused.value)
    with pytest.raises(ModelError, match="Got invalid dimensions for input: frame"):
        make_runtime("onnxruntime", graph, card.model_copy(update={"channels": ("PIEZO1",)}))
    mute = onnx.load_from_string(graph)
    del mute.graph.output[1]
    with pytest.raises(ModelError, match="not those that its model card describes"):
        make_runtime("onnxruntime", mute.SerializeToString(), card)
    runtime, _ = make_runtime("auto", graph, card)
    frame = np.zeros((1, 3, 16, 16), np.float32)
    answers = runtime.run([frame, np.ones(1, np.float32), *zero_state(card, 16, 16)])
    assert answers[0].shape == (1, N_MAPS, 16, 16)
