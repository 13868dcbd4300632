"""A registration from spots that both channels show, with what can be said of its errors."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from acquire.affine_fit import (
    LEAST_PAIRS,
    Complex,
    left_out_errors,
    prediction_variance,
)
from acquire.alignment import Alignment, align, pair_weights
from acquire.coarse_alignment import MAX_ROTATION, MAX_SHIFT, MAX_STRETCH
from acquire.registration import Registration, RegistrationError
from acquire.spots import Spots

WORST_PX = 0.5  # in the plane; a spot of σ 1.3 px is then read 4 % too low (exp −d²/4σ²)
LEAST_EXTENT = 0.5  # of the image's width and height that spots must span: what lies beyond is extrapolated


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What a registration was found from, for pictures.

    Attributes
    ----------
    one, two
        Pairs of spots that agree, as complex positions x + iy (N,) in channel 1 and 2.
    error
        How far each `two` lies from where the map without that spot puts it (N,), complex.
    wrong_one, wrong_two
        Neighbours that do not agree.
    """

    one: Complex
    two: Complex
    error: Complex
    wrong_one: Complex
    wrong_two: Complex


def register_spots(one: Spots, two: Spots, image_size: tuple[int, int]) -> tuple[Registration, Pairs]:
    """Find the map of channel 1 to channel 2 from spots of both, whose correspondence is not known.

    Its `cautions` say why it should not be used, if so. Coarse search, RANSAC and weighted least squares, see
    `acquire.alignment`; one or two spots give a shift, from 3 on a similarity, from 6 on an affine map.

    Parameters
    ----------
    one, two
        Spots of channel 1 and 2.
    image_size
        Height and width in pixels.

    Raises
    ------
    RegistrationError
        If a channel has no spots, or they do not match better than by chance.
    """
    for number, spots in ((1, one), (2, two)):
        if not len(spots):
            raise RegistrationError(
                f"no spot is found in channel {number}: check the channel layout and camera.offset, "
                "or take a bead image with more light"
            )
    alignment = align(one, two, image_size)
    if alignment is None:
        raise RegistrationError(
            f"the spots of the two channels ({len(one)} and {len(two)}) do not match better than by chance, "
            f"at no shift up to {MAX_SHIFT:.0%} of the image, rotation up to "
            f"{math.degrees(MAX_ROTATION):.0f}° and scale within {MAX_STRETCH:.0%}: check the channel layout "
            "and put mirrored or turned images right where they are recorded"
        )
    return _measured(one, two, alignment, image_size)


def _measured(
    one: Spots, two: Spots, alignment: Alignment, image_size: tuple[int, int]
) -> tuple[Registration, Pairs]:
    """The alignment with what its pairs tell of its errors."""
    transform = alignment.transform
    z1, z2 = one.z[alignment.one], two.z[alignment.two]
    variance, share, place = pair_weights(one, two, alignment.one, alignment.two)
    n_places = int(place.max()) + 1
    error = left_out_errors(transform, z1, z2, share / variance, place)
    known = np.isfinite(error)
    residual = (
        float(np.sqrt(np.average(np.abs(error[known]) ** 2, weights=share[known])))
        if known.any()
        else math.nan
    )
    free = n_places - len(transform.coefficients)
    field_error = math.nan
    if free > 0:
        # Few spots may agree by luck: never better than their uncertainty allows.
        misfit = max(1.0, float(np.sum(share * np.abs(z2 - transform(z1)) ** 2 / variance)) / free)
        height, width = image_size
        corners = np.array([0, width - 1, 1j * (height - 1), width - 1 + 1j * (height - 1)])
        at_corners = prediction_variance(transform, z1, share / variance, corners)
        field_error = math.sqrt(misfit * float(at_corners.max()))
    registration = Registration(
        transform=transform.matrix,
        image_size=image_size,
        model=transform.model,
        n_spots=n_places,
        n_outliers=len(np.unique(one.place[alignment.wrong_one])),
        residual_px=residual,
        localization_px=math.sqrt(float(np.average(variance, weights=share))),
        field_error_px=field_error,
    )
    pairs = Pairs(z1, z2, error, one.z[alignment.wrong_one], two.z[alignment.wrong_two])
    return replace(registration, cautions=tuple(_cautions(registration, z1))), pairs


def _cautions(registration: Registration, z1: Complex) -> Iterator[str]:
    """Why it should not be used, a sentence each; z1 are its spots in channel 1."""
    n = registration.n_spots
    if n < LEAST_PAIRS["similarity"]:
        yield (
            f"only {n} {'spot is' if n == 1 else 'spots are'} seen in both channels, which tells a shift but "
            f"neither rotation nor scale: show {LEAST_PAIRS['affine']} or more all over the field"
        )
    height, width = registration.image_size
    across, down = np.ptp(z1.real) / width, np.ptp(z1.imag) / height
    if n > 1 and min(across, down) < LEAST_EXTENT:
        yield (
            f"the spots span {across:.0%} of the width and {down:.0%} of the height of the image, the rest "
            f"would be extrapolated: show some all over the field (at least {LEAST_EXTENT:.0%} of both)"
        )
    if registration.unexplained_px > WORST_PX:
        yield (
            f"spots lie {registration.residual_px:.2f} px from where the map puts them, more than half a "
            f"pixel beyond the uncertainty of their positions ({registration.localization_px:.2f} px): they "
            "moved between the channels, or the field is distorted"
        )
    if registration.field_error_px > WORST_PX:
        yield (
            f"in a corner of the image the map is known to {registration.field_error_px:.2f} px only: show "
            "more spots, or brighter ones"
        )
