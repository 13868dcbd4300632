import numpy as np
from scipy.ndimage import convolve1d

from model.wavelet import local_maxima, smooth, wavelet_planes

TAPS = np.array([1, 4, 6, 4, 1]) / 16


def test_planes_are_those_of_the_a_trous_b_spline() -> None:
    image = np.random.default_rng(0).normal(10, 3, (23, 31)).astype(np.float32)
    holes = np.zeros(9)
    holes[::2] = TAPS
    v1 = convolve1d(convolve1d(image, TAPS, 0, mode="nearest"), TAPS, 1, mode="nearest")
    v2 = convolve1d(convolve1d(v1, holes, 0, mode="nearest"), holes, 1, mode="nearest")
    f1, f = wavelet_planes(image)
    np.testing.assert_allclose(f1, image - v1, atol=1e-4)
    np.testing.assert_allclose(f, v1 - v2, atol=1e-4)


def test_smoothing_keeps_a_constant_up_to_the_border() -> None:
    for shape in ((1, 1), (2, 7), (16, 16)):
        np.testing.assert_allclose(smooth(np.full(shape, 7.0, np.float32), 2), 7.0, rtol=1e-6)


def test_maxima_count_8_neighbours_borders_and_plateaus_once() -> None:
    plane = np.zeros((6, 7), np.float32)
    plane[0, 0] = 3  # a corner
    plane[2, 3] = plane[2, 4] = 5  # a plateau of two
    plane[3, 5] = 4  # touches the plateau diagonally
    plane[5, 1] = 1  # at the threshold, not above
    rows, columns = local_maxima(plane, 1.0)
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (2, 4)]
