import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquire.registration import Registration, RegistrationError, load_registration, save_registration
from acquire.registration_fit import register_spots
from acquire.spots import Spots

SIZE = (256, 256)
EDGES = np.stack(np.meshgrid(np.linspace(0, 255, 5), np.linspace(0, 255, 5)), -1).reshape(-1, 2)


def affine(shift=(1.6, -1.2), degrees=0.5, scale=1.01, stretch=0.0):
    """A matrix (2, 3) that turns, scales and shifts about the middle of the image."""
    angle, middle = math.radians(degrees), np.array([127.5, 127.5])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = scale * turn @ np.diag([1 + stretch, 1 - stretch])
    return np.column_stack([linear, middle + shift - linear @ middle])


def moved(matrix, xy):
    return xy @ matrix[:, :2].T + matrix[:, 2]


def spots(xy, sd=0.02, frame=None):
    n = len(xy)
    frames = np.zeros(n, np.int64) if frame is None else frame
    return Spots(xy[:, 0], xy[:, 1], np.full(n, sd), np.linspace(500, 1000, n), frames)


def channels(rng, n, matrix, sd=0.02, lost=0.0, foreign=0.0, area=(0, 256)):
    """Spots of both channels, in no order: some of channel 1 are lost in 2, others only 2 shows."""
    xy = rng.uniform(*area, (n, 2))
    there = moved(matrix, xy)[int(lost * n) :]
    there = np.concatenate(
        [there + rng.normal(0, sd, there.shape), rng.uniform(0, 256, (int(foreign * n), 2))]
    )
    there = there[((there >= 0) & (there <= 255)).all(axis=1)]
    return spots(xy + rng.normal(0, sd, xy.shape), sd), spots(rng.permutation(there), sd)


def largest_error(registration, matrix):
    """Over the field, pixels."""
    return np.linalg.norm(moved(registration.transform, EDGES) - moved(matrix, EDGES), axis=1).max()


@pytest.mark.parametrize("seed", range(5))
def test_a_known_affine_is_recovered_in_spite_of_outliers(seed):
    matrix = affine(stretch=0.002)
    one, two = channels(np.random.default_rng(seed), 40, matrix, lost=0.1, foreign=0.1)
    found, pairs = register_spots(one, two, SIZE)
    assert largest_error(found, matrix) < 0.05
    assert found.model == "affine" and found.n_spots >= 34 and not found.cautions
    assert len(pairs.one) == found.n_spots
    assert (
        np.abs(moved(matrix, np.stack([pairs.one.real, pairs.one.imag], 1))[:, 0] - pairs.two.real).max()
        < 0.15
    )


def test_wrong_pairs_are_outliers_and_are_counted():
    rng, matrix = np.random.default_rng(3), affine()
    xy = rng.uniform(10, 245, (40, 2))
    there = moved(matrix, xy)
    there[:4] += [0.9, -0.6]  # a neighbour that is another spot
    found, pairs = register_spots(spots(xy), spots(there), SIZE)
    assert found.n_outliers == len(pairs.wrong_one) == 4 and found.n_spots == 36
    assert largest_error(found, matrix) < 1e-6


shifts = st.floats(-45, 45)


@settings(max_examples=40, deadline=None)
@given(
    shifts,
    shifts,
    st.floats(-4.5, 4.5),
    st.floats(0.96, 1.04),
    st.integers(25, 150),
    st.integers(0, 2**32 - 1),
)
def test_any_affine_within_the_limits_is_found(x, y, degrees, scale, n, seed):
    matrix = affine((x, y), degrees, scale)
    one, two = channels(np.random.default_rng(seed), n, matrix, sd=0.01, lost=0.1, foreign=0.1)
    found, _ = register_spots(one, two, SIZE)
    assert largest_error(found, matrix) < 0.08
    assert found.rotation_degrees == pytest.approx(degrees, abs=0.02)
    assert found.scale == pytest.approx(scale, abs=4e-4)
    assert found.shift_px == pytest.approx((x, y), abs=0.04)


@pytest.mark.parametrize(
    ("n", "model"), [(3, "similarity"), (5, "similarity"), (6, "affine"), (20, "affine")]
)
def test_the_model_follows_the_number_of_spots(n, model):
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    xy = 127.5 + 100 * np.stack([np.cos(angles), np.sin(angles)], 1) * np.linspace(0.8, 1.1, n)[:, None]
    found, _ = register_spots(spots(xy), spots(moved(affine(), xy)), SIZE)
    assert found.model == model and not found.cautions
    assert largest_error(found, affine()) < 1e-6


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_spots_give_a_shift_and_a_warning(n):
    xy = np.array([[60.0, 60.0], [200.0, 190.0]])[:n]
    found, _ = register_spots(spots(xy), spots(xy + np.array([3.0, -2.0])), SIZE)
    assert found.model == "translation" and found.shift_px == pytest.approx((3, -2))
    assert found.cautions[0].startswith(f"only {n} spot")
    assert math.isnan(found.residual_px) == (n == 1) == math.isnan(found.field_error_px)


def test_spots_in_a_corner_are_not_extrapolated_silently():
    one, two = channels(np.random.default_rng(1), 30, affine(), area=(10, 90))
    found, _ = register_spots(one, two, SIZE)
    assert "of the height of the image, the rest would be extrapolated" in found.cautions[0]


def test_a_residual_worse_than_half_a_pixel_is_a_caution():
    rng = np.random.default_rng(1)
    xy = rng.uniform(5, 250, (60, 2))
    two = spots(moved(affine(), xy) + rng.normal(0, 0.5, xy.shape))
    found, _ = register_spots(spots(xy), two, SIZE)
    assert found.residual_px > 0.5 and "more than half a pixel" in found.cautions[0]
    # Puncta whose positions are as uncertain as that may be used: many of them tell the map well.
    vague, _ = register_spots(
        replace(spots(xy), sd_px=np.full(60, 0.3)), replace(two, sd_px=np.full(60, 0.4)), SIZE
    )
    assert not vague.cautions and vague.field_error_px < 0.4


@pytest.mark.parametrize("n", [3, 8, 30, 200])
def test_chance_is_not_taken_for_a_registration(n):
    accepted = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        one, two = (spots(rng.uniform(0, 255, (n, 2))) for _ in range(2))
        try:
            accepted += not register_spots(one, two, SIZE)[0].cautions
        except RegistrationError as error:
            assert "do not match better than by chance" in str(error)
    assert accepted == 0


def test_a_channel_without_spots_is_named():
    some, none = spots(np.full((3, 2), 7.0)), spots(np.empty((0, 2)))
    with pytest.raises(RegistrationError, match="no spot is found in channel 2"):
        register_spots(some, none, SIZE)


def test_few_spots_do_not_look_perfect():
    """The residual of three is that of one left out: it does not vanish as that of the fit does."""
    sd, residuals, errors = 0.1, [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        xy = np.array([[30.0, 40.0], [220.0, 70.0], [110.0, 225.0]])
        there = moved(affine(), xy) + rng.normal(0, sd, (3, 2))
        found, _ = register_spots(spots(xy + rng.normal(0, sd, (3, 2)), sd), spots(there, sd), SIZE)
        residuals.append(found.residual_px)
        errors.append(largest_error(found, affine()))
    assert np.sqrt(np.mean(np.square(residuals))) > 2 * sd  # of both coordinates of both channels
    assert np.sqrt(np.mean(np.square(errors))) < 3 * sd


@pytest.mark.parametrize("n", [6, 12, 40])
def test_the_error_in_the_corners_is_as_told(n):
    told, true = [], []
    for seed in range(60):
        one, two = channels(np.random.default_rng(seed), n, affine(), sd=0.1, area=(25, 230))
        found, _ = register_spots(one, two, SIZE)
        told.append(found.field_error_px)
        true.append(largest_error(found, affine()))
    ratio = np.sqrt(np.mean(np.square(true)) / np.mean(np.square(told)))
    assert 0.6 < ratio < 1.5


def test_a_spot_that_rests_counts_once():
    """A hundred frames of one wrong pair do not outweigh the pairs of the other spots."""
    rng, matrix, n_frames = np.random.default_rng(4), affine(), 50
    xy = np.concatenate([rng.uniform(5, 250, (25, 2))])
    there = moved(matrix, xy)
    there[:2] += [0.5, 0.4]
    frame = np.repeat(np.arange(n_frames), 25)
    # The right ones are seen in two frames, the wrong ones in all.
    seen = (np.tile(np.arange(25), n_frames) < 2) | (frame < 2)
    one, two = (spots(np.tile(p, (n_frames, 1))[seen], 0.05, frame[seen]) for p in (xy, there))
    found, _ = register_spots(one, two, SIZE)
    assert largest_error(found, matrix) < 0.02
    assert found.n_spots <= 25 and found.n_outliers == 2


def test_spots_of_different_frames_are_no_pairs():
    xy = np.random.default_rng(5).uniform(5, 250, (30, 2))
    one, two = spots(xy, frame=np.zeros(30, np.int64)), spots(xy, frame=np.ones(30, np.int64))
    with pytest.raises(RegistrationError, match="do not match"):
        register_spots(one, two, SIZE)


def registration(**changes):
    known = Registration(
        transform=affine(),
        image_size=(256, 256),
        model="affine",
        n_spots=30,
        n_outliers=2,
        residual_px=0.02,
        localization_px=0.01,
        field_error_px=math.nan,
        cautions=("only a test",),
        source="beads µ",
        made="2026-11-23T10:00:00+00:00",
        pixel_size_nm=108.0,
    )
    return replace(known, **changes)


def test_the_file_gives_back_what_was_saved_and_says_it_in_words(tmp_path):
    path, saved = tmp_path / "registration.yaml", registration()
    save_registration(saved, path)
    loaded = load_registration(path)
    np.testing.assert_array_equal(loaded.transform, saved.transform)
    assert math.isnan(loaded.field_error_px)
    for name in (
        "image_size",
        "model",
        "n_spots",
        "residual_px",
        "cautions",
        "source",
        "made",
        "pixel_size_nm",
    ):
        assert getattr(loaded, name) == getattr(saved, name)
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert (
        "shift (+1.60, -1.20) px at the middle of the image (216 nm), rotation +0.500°, scale 1.0100" in text
    )
    assert "residual 0.020 px (2 nm), 30 spots, 2 outliers, affine" in text
    assert "residual_nm: 2.16" in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: "", "is no registration of format"),
        (lambda text: "matrix: [", "is not valid YAML"),
        (lambda text: text.replace("registration 1", "registration 2"), "is no registration of format"),
        (lambda text: text + "extra: 3\n", "extra in .* is wrong"),
        (lambda text: re.sub(r"- \[[\d.]+", "- [.nan", text, count=1), "matrix.0.0 in .* is wrong"),
        (lambda text: text.replace("n_spots: 30", "n_spots: -1"), "n_spots in .* is wrong"),
        (lambda text: text.replace("model: affine", "model: spline"), "model in .* is wrong"),
        (lambda text: re.sub(r"(?m)^- \[.*\]$", "- [1.0, 0.0, 0.0]", text), "maps the image to a line"),
        (lambda text: text.replace("- [1.0", "- [1.0, 0.0, 999.0] # ", 1), "outside channel 2"),
        (lambda text: text.replace("image_size:", "size:"), "image_size in .* is wrong"),
    ],
)
def test_a_wrong_file_is_explained_in_one_sentence(tmp_path, change, sentence):
    path = tmp_path / "registration.yaml"
    save_registration(registration(), path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RegistrationError, match=sentence) as error:
        load_registration(path)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(RegistrationError, match=r"cannot read registration .*nowhere"):
        load_registration(tmp_path / "nowhere.yaml")
    with pytest.raises(RegistrationError, match="cannot write"):
        save_registration(registration(), tmp_path / "nowhere" / "a.yaml")


def test_what_channel_2_does_not_see_is_told():
    assert registration(transform=np.eye(2, 3)).seen_share() == 1
    shifted = registration(transform=np.array([[1.0, 0, 64], [0, 1, 0]]))
    assert shifted.seen_share() == pytest.approx(0.75)


def test_an_image_size_that_cannot_be_takes_no_memory():
    huge = registration(transform=np.array([[1, 0, 5e5], [0, 1, 0]]), image_size=(1_000_000, 1_000_000))
    assert huge.seen_share() == pytest.approx(0.5, abs=0.01)
