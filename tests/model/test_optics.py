import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j1

from model.optics import AIRY_SIGMA, AiryPsf, GaussianPsf, gaussian_profile, make_psf


def profile(position: float, sigma: float, start: int = -20, n: int = 41) -> np.ndarray:
    result = np.empty((3, n))
    gaussian_profile(position, sigma, start, result[0], result[1], result[2])
    return result


@pytest.mark.parametrize("sigma", [0.5, 1.3, 3.0])
@pytest.mark.parametrize("position", [0.0, 0.37, -2.5])
def test_profile_integrates_to_one_and_lies_at_its_position(position: float, sigma: float) -> None:
    value, d_position, d_sigma = profile(position, sigma)
    assert value.sum() == pytest.approx(1.0, abs=1e-9)
    assert value @ np.arange(-20, 21) == pytest.approx(position, abs=2e-3)
    assert d_position.sum() == pytest.approx(0.0, abs=1e-6)
    assert d_sigma.sum() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.5, 1.3, 3.0])
def test_derivatives_agree_with_finite_differences(sigma: float) -> None:
    step = 1e-5
    _, d_position, d_sigma = profile(0.2, sigma)
    by_position = (profile(0.2 + step, sigma)[0] - profile(0.2 - step, sigma)[0]) / (2 * step)
    by_sigma = (profile(0.2, sigma + step)[0] - profile(0.2, sigma - step)[0]) / (2 * step)
    np.testing.assert_allclose(d_position, by_position, atol=1e-8)
    np.testing.assert_allclose(d_sigma, by_sigma, atol=1e-8)


@pytest.mark.parametrize(("kind", "light"), [("gaussian", 0.999), ("airy", 0.93)])
def test_a_painted_psf_keeps_its_light_and_position(kind: str, light: float) -> None:
    image = np.zeros((81, 61), np.float32)
    make_psf(kind, 1.4).add(image, np.array([30.3]), np.array([40.6]), np.array([1000.0]))
    rows, columns = np.indices(image.shape)
    assert light * 1000 < image.sum() < 1000.1
    assert (image * columns).sum() / image.sum() == pytest.approx(30.3, abs=0.02)
    assert (image * rows).sum() / image.sum() == pytest.approx(40.6, abs=0.02)


@pytest.mark.parametrize("sigma", [0.7, 1.3, 2.5])
def test_airy_pixel_agrees_with_numeric_integration(sigma: float) -> None:
    x, y = 10.2, 9.7
    image = np.zeros((21, 21), np.float32)
    AiryPsf(sigma).add(image, np.array([x]), np.array([y]), np.array([1.0]))
    wave_number = 2 * np.pi * AIRY_SIGMA / sigma

    def disk(u: float, v: float) -> float:
        r = wave_number * np.hypot(u - x, v - y)
        return float((2 * j1(r) / r) ** 2 * wave_number**2 / (4 * np.pi))

    for row, column in ((10, 10), (9, 11), (13, 10)):
        exact = quad(
            lambda v, c=column: quad(disk, c - 0.5, c + 0.5, args=(v,))[0], row - 0.5, row + 0.5, epsabs=1e-7
        )[0]
        assert image[row, column] == pytest.approx(exact, abs=1e-4 * float(image.max()))


@pytest.mark.parametrize("psf", [GaussianPsf(1.2), AiryPsf(1.2)])
def test_emitters_outside_the_image_only_shine_in(psf: GaussianPsf | AiryPsf) -> None:
    image = np.zeros((12, 10), np.float32)
    psf.add(image, np.array([-1.0, 500.0]), np.array([5.0, -500.0]), np.array([100.0, 100.0]))
    assert image[5, 0] == image.max() > 0
    assert image[5, 9] < 0.2


def test_an_unknown_psf_is_refused() -> None:
    with pytest.raises(ValueError, match="choose gaussian or airy"):
        make_psf("bessel", 1.0)
