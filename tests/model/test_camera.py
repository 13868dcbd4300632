import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.camera import Camera, CameraError

SCMOS = Camera(offset=100.0, e_per_adu=0.5, read_noise_e=1.4)
EMCCD = Camera(offset=200.0, e_per_adu=4.0, read_noise_e=40.0, em_gain=200.0)


@pytest.mark.parametrize("camera", [SCMOS, EMCCD])
@pytest.mark.parametrize("level", [5.0, 200.0])
def test_exposures_have_the_promised_mean_and_variance(camera: Camera, level: float) -> None:
    expected = np.full((400, 400), level, np.float32)
    photons = camera.to_photons(camera.expose(expected, np.random.default_rng(1)))
    promised = float(camera.variance(expected)[0, 0])
    quantization = (camera.e_per_adu / camera.em_gain) ** 2 / 12
    assert photons.mean() == pytest.approx(level, abs=5 * np.sqrt(promised / photons.size))
    assert photons.var() == pytest.approx(promised + quantization, rel=0.03)


@given(st.floats(0, 500), st.floats(0.1, 10), st.floats(1, 300), st.integers(0, 65535))
def test_photons_are_the_documented_function_of_counts(
    offset: float, e_per_adu: float, gain: float, counts: int
) -> None:
    camera = Camera(offset=offset, e_per_adu=e_per_adu, em_gain=gain)
    photons = camera.to_photons(np.full((1, 2, 2), counts, np.uint16))
    assert photons.dtype == np.float32
    scale = e_per_adu / gain
    np.testing.assert_allclose(photons, (counts - offset) * scale, rtol=1e-4, atol=0.01 * scale)


def test_counts_come_back_as_the_light_that_made_them() -> None:
    expected = np.linspace(10, 5000, 64, dtype=np.float32).reshape(8, 8)
    camera = Camera(offset=100.0, e_per_adu=0.25, read_noise_e=0.0)
    rng = np.random.default_rng(2)
    mean = np.mean([camera.to_photons(camera.expose(expected, rng)) for _ in range(400)], axis=0)
    np.testing.assert_allclose(mean, expected, atol=5 * np.sqrt(5000 / 400))


def test_maps_act_pixel_by_pixel() -> None:
    offset = np.arange(12, dtype=np.float32).reshape(3, 4)
    camera = Camera(offset=offset, e_per_adu=offset + 1, read_noise_e=offset / 4)
    counts = np.full((3, 4), 50, np.uint16)
    np.testing.assert_allclose(camera.to_photons(counts), (50 - offset) * (offset + 1))
    np.testing.assert_allclose(camera.variance(np.full((3, 4), 7, np.float32)), 7 + (offset / 4) ** 2)


def test_counts_saturate_at_the_bit_depth() -> None:
    bright = np.full((4, 4), 1e5, np.float32)
    counts = Camera(bit_depth=12).expose(bright, np.random.default_rng(0))
    assert np.all(counts == 4095)


@pytest.mark.parametrize(
    ("field", "value"),
    [("em_gain", 0.5), ("e_per_adu", 0.0), ("read_noise_e", -1.0), ("bit_depth", 17)]
    + [(name, np.full((2, 2), np.nan)) for name in ("offset", "e_per_adu", "read_noise_e")],
)
def test_senseless_parameters_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(CameraError, match=field):
        Camera(**{field: value})
