import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.frame import Frame
from model.camera import Camera
from model.engines.network import NetworkEngine
from model.registration import resample

numbers = st.floats(-3, 3)
CAMERA = Camera(100.0, 1.0, 1.6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.lists(numbers, min_size=6, max_size=6), st.integers(0, 99))
def test_a_picture_is_registered_as_the_graph_does_it(height, width, numbers, seed):
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: train)")
    from model.graph import register
    from model.registration import places

    transform = np.eye(2, 3) + np.reshape(numbers, (2, 3)) * [0.1, 0.1, 3.0]
    image = np.random.default_rng(seed).normal(50, 10, (height, width)).astype(np.float32)
    where = torch.from_numpy(places(transform, height, width))
    in_graph = register(torch.from_numpy(image)[None], where)[0].numpy()
    np.testing.assert_allclose(resample(image, transform), in_graph, atol=2e-3)


def movie(n=8, side=48):
    """Puncta in channel 1, noise and a few bright places in channel 2."""
    rng = np.random.default_rng(2)
    expected = np.full((2, side, side), 20.0)
    expected[0, 8::12, 8::12] += 800
    expected[1, 8::24, 8::24] += 400
    return [CAMERA.expose(expected, rng) for _ in range(n)]


def answers(engine, pixels, start=0):
    found = [a for k, p in enumerate(pixels) for a in engine.step(Frame(start + k, 0.1 * (start + k), p))]
    return np.concatenate([localizations.table() for _, localizations in found + engine.flush()])


@pytest.fixture
def apart(exported):
    """An engine for channels that lie 3 and −2 pixels apart, and one for channels that do not."""
    transform = np.array([[1.0, 0, 3], [0, 1, -2]])
    return [
        NetworkEngine(CAMERA, 1.3, exported, backend="onnxruntime", transform=t) for t in (transform, None)
    ]


def test_a_network_sees_channel_2_where_the_registration_says(apart):
    """At every size and with another camera the registration stays."""
    registered, plain = apart
    # What lies at (x, y) in channel 2 is put to (x + 3, y − 2); the border goes on beyond it.
    for step, side in enumerate((48, 40)):
        if step:
            for engine in apart:
                engine.use_camera(Camera(90.0, 1.0, 1.6))
        rows, columns = (np.arange(side) - 2).clip(0), (np.arange(side) + 3).clip(max=side - 1)
        there = [p[:, :side, :side] for p in movie()]
        here = [np.stack([p[0], p[1][rows][:, columns]]) for p in there]
        np.testing.assert_allclose(answers(registered, there), answers(plain, here), rtol=1e-4, atol=1e-3)
    assert not np.allclose(answers(registered, there)[:, -1], answers(plain, there)[:, -1], atol=1e-3)
