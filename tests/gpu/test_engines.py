"""What only a GPU can show: engines there answer as PyTorch does on the CPU. `piezo1 bench gpu` runs this."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra: gpu)")
if not torch.cuda.is_available():
    pytest.skip("there is no NVIDIA GPU", allow_module_level=True)

from bench.agreement import compare, simulated_movies  # noqa: E402
from bench.engine_child import answers  # noqa: E402
from model.camera import Camera  # noqa: E402
from model.card import SHIPPED_MODEL, read_model  # noqa: E402
from model.engines.backends import BACKENDS, open_session  # noqa: E402
from model.graph_io import Opening, as_bytes  # noqa: E402


@pytest.fixture(scope="module")
def movies(tmp_path_factory):
    path = tmp_path_factory.mktemp("movies") / "movies.npy"
    np.save(path, simulated_movies())
    return path


@pytest.fixture(scope="module")
def reference(movies):
    return answers("torch", SHIPPED_MODEL, movies)[0]


@pytest.mark.parametrize("backend", ["torch_cuda", "tensorrt"])
@pytest.mark.timeout(600)
def test_puncta_are_those_of_pytorch_on_the_cpu(backend, movies, reference):
    if backend == "tensorrt":
        pytest.importorskip("tensorrt_rtx", reason="TensorRT is not installed (extra: gpu)")
    agreement = compare(backend, reference, answers(backend, SHIPPED_MODEL, movies)[0], 0.05)
    assert agreement.puncta > 5000
    assert agreement.share >= 0.999


def test_auto_takes_the_gpu():
    graph, card = read_model(SHIPPED_MODEL)
    opening = Opening(graph, card, 64, 64, Camera(), np.eye(2, 3, dtype=np.float32), SHIPPED_MODEL)
    session, name, _ = open_session("auto", opening)
    assert name in ("tensorrt", "torch_cuda")
    assert torch.cuda.get_device_name() in session.description


def test_two_steps_under_way_answer_as_one_at_a_time():
    graph, card = read_model(SHIPPED_MODEL)
    opening = Opening(graph, card, 96, 80, Camera(), np.eye(2, 3, dtype=np.float32), SHIPPED_MODEL)
    rng = np.random.default_rng(0)
    frames = [as_bytes(rng.poisson(130, (2, 96, 80)).astype(np.uint16)) for _ in range(9)]
    tables = []
    for together in (False, True):
        session = BACKENDS["torch_cuda"][1](opening)
        mine = []
        for k, frame in enumerate(frames):
            session.submit(frame, True, 0.05)
            if not together or k:
                mine.append(session.collect())
        if together:
            mine.append(session.collect())
        tables.append(mine)
    for one, two in zip(*tables, strict=True):
        np.testing.assert_array_equal(one, two)
