import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from matplotlib.image import imread

import piezo1 as command_line
from acquire.registration import RegistrationError, load_registration, save_registration
from model.camera import Camera
from model.localizations import Localizations
from model.optics import add_gaussians
from stream.calcium.detector import CalciumDetector
from stream.calcium.registered import RegisteredCalcium
from stream.config import CalciumConfig, ConfigError
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import open_run
from stream.register import register
from stream.results import NO_IDS, TrackUpdate
from stream.status import Note

CAMERA = Camera(100.0, 1.0, 1.6)
PIXEL_NM = 108.0
SIDE = 96


def affine(side, shift=(1.6, -1.2), degrees=0.5, scale=1.01):
    angle, middle = math.radians(degrees), np.full(2, (side - 1) / 2)
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.column_stack([linear, middle + shift - linear @ middle])


def moved(matrix, xy):
    return xy @ matrix[:, :2].T + matrix[:, 2]


def image(side, xy, photons, sigma, background=15.0):
    """Expected photons of spots."""
    light = np.full((side, side), background, np.float32)
    x, y = np.asarray(xy, float).reshape(-1, 2).T.copy()
    add_gaussians(light, x, y, np.broadcast_to(photons, x.shape).astype(float), np.full(len(x), sigma))
    return light


def beads(seed=1, n=30, side=192, n_frames=10, photons=1500.0, lost=0.1, matrix=None):
    """A movie (T, 2, H, W) of resting beads, of which some are seen in one channel only."""
    rng = np.random.default_rng(seed)
    one = rng.uniform(4, side - 5, (n, 2))
    foreign = rng.uniform(4, side - 5, (int(n * lost), 2))
    two = np.concatenate([moved(affine(side) if matrix is None else matrix, one)[len(foreign) :], foreign])
    light = photons * rng.lognormal(0, 0.4, n)
    expected = np.stack([image(side, one, light, 1.25), image(side, two, rng.permutation(light), 1.4)])
    return np.stack([CAMERA.expose(expected, rng) for _ in range(n_frames)])


def write(path, movie):
    tifffile.imwrite(path, movie, photometric="minisblack")
    return path


def config(path, **more):
    options = {"source.path": path, "optics.pixel_size_nm": PIXEL_NM, "camera.offset": 100.0}
    return load_config(options=options | {key.replace("__", "."): value for key, value in more.items()})


def largest_error(registration, matrix):
    height, width = registration.image_size
    xy = np.stack(np.meshgrid([0, width - 1], [0, height - 1]), -1).reshape(-1, 2)
    return np.linalg.norm(moved(registration.transform, xy) - moved(matrix, xy), axis=1).max()


@pytest.mark.parametrize("layout", ["interleaved", "side-by-side", "top-bottom", "two-files"])
def test_beads_in_any_layout_tell_the_affine(tmp_path, layout):
    movie, more = beads(), {"channels__layout": layout}
    t, _, h, w = movie.shape
    recorded = {
        "interleaved": movie.reshape(2 * t, h, w),
        "side-by-side": np.concatenate([movie[:, 0], movie[:, 1]], axis=2),
        "top-bottom": np.concatenate([movie[:, 0], movie[:, 1]], axis=1),
        "two-files": movie[:, 0],
    }[layout]
    if layout == "two-files":
        more["source__calcium_path"] = write(tmp_path / "calcium.tif", movie[:, 1])
    found = register(config(write(tmp_path / "beads.tif", recorded), **more))
    registration = found.registration
    assert largest_error(registration, affine(h)) < 0.05
    assert registration.n_spots >= 25 and registration.image_size == (h, w)
    assert (registration.source, registration.pixel_size_nm) == ("beads", PIXEL_NM)
    assert found.images.shape == (2, h, w)


def test_a_single_image_of_few_beads_is_enough(tmp_path):
    movie = beads(seed=6, n=8, n_frames=1, photons=4000.0, lost=0.0)
    found = register(config(write(tmp_path / "beads.tif", movie[0]), channels__layout="interleaved"))
    assert largest_error(found.registration, affine(192)) < 0.1


def test_saturated_beads_are_left_out(tmp_path):
    movie = np.minimum(beads(lost=0.0), 255)
    recorded = movie.reshape(-1, *movie.shape[2:])
    tifffile.imwrite(tmp_path / "b.tif", recorded.astype(np.uint8), photometric="minisblack")
    found = register(config(tmp_path / "b.tif", channels__layout="interleaved", camera__offset=100.0))
    assert found.registration.n_spots < 20
    assert largest_error(found.registration, affine(192)) < 0.1


def test_moving_puncta_that_both_channels_show_tell_it_too(tmp_path):
    """Half of them, beside others that only one channel shows."""
    rng, side, n = np.random.default_rng(1), 128, 40
    one = rng.uniform(0, side, (n, 2))
    foreign = rng.uniform(0, side, (n // 2, 2))
    pages = []
    for _ in range(30):
        one = one + rng.normal(0, 0.6, one.shape)
        foreign = foreign + rng.normal(0, 0.6, foreign.shape)
        two = np.concatenate([moved(affine(side), one[: n // 2]), foreign])
        pages += [CAMERA.expose(image(side, xy, 700.0, 1.35), rng) for xy in (one, two)]
    movie = config(write(tmp_path / "p.tif", np.stack(pages)), channels__layout="interleaved")
    found = register(movie, "puncta")
    assert largest_error(found.registration, affine(side)) < 0.1
    assert found.registration.n_spots > 50


def test_what_is_too_poor_is_refused_unless_forced(tmp_path):
    rng, side = np.random.default_rng(2), 128
    one = rng.uniform(8, side - 8, (25, 2))
    two = moved(affine(side), one) + rng.normal(0, 0.6, one.shape)
    pages = np.stack([CAMERA.expose(image(side, xy, 5000.0, 1.3), rng) for xy in (one, two)])
    poor = config(write(tmp_path / "poor.tif", pages), channels__layout="interleaved")
    with pytest.raises(RegistrationError, match=r"more than half a pixel .*--force"):
        register(poor)
    registration = register(poor, force=True).registration
    assert registration.residual_px > 0.5 and "more than half a pixel" in registration.cautions[0]


@pytest.mark.parametrize(
    ("recorded", "sentence"),
    [
        (lambda: beads(n_frames=2)[:, 0], "has one channel"),
        (lambda: np.full((2, 64, 64), 100, np.uint16), "no spot is found in channel 1"),
        (
            lambda: np.stack([beads(n_frames=1)[0, 0], beads(2, n_frames=1)[0, 1]]),
            "do not match better than by",
        ),
        (lambda: beads(n=1, lost=0.0, n_frames=1)[0], "only 1 spot is seen in both channels"),
    ],
)
def test_what_cannot_be_registered_is_refused_in_one_sentence(tmp_path, recorded, sentence):
    movie = recorded()
    layout = "single" if "one channel" in sentence else "interleaved"
    with pytest.raises(RegistrationError, match=sentence) as error:
        register(config(write(tmp_path / "m.tif", movie), channels__layout=layout))
    assert "\n" not in str(error.value)


def run_command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["piezo1", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code or 0, *capsys.readouterr()


def test_the_command_writes_yaml_and_picture_and_says_what_it_found(tmp_path, monkeypatch, capsys):
    movie = beads()
    path = write(tmp_path / "beads.tif", movie.reshape(-1, *movie.shape[2:]))
    output = tmp_path / "registration.yaml"
    options = ("--layout", "interleaved", "--pixel-size-nm", PIXEL_NM, "--set", "camera.offset=100")
    code, out, err = run_command(monkeypatch, capsys, "register", path, "-o", output, *options)
    assert code == 0, err
    assert (
        "rotation +0.5" in out and "scale 1.01" in out and "residual 0.0" in out and "outliers, affine" in out
    )
    assert largest_error(load_registration(output), affine(192)) < 0.05
    picture = imread(output.with_suffix(".png"))
    assert picture.shape[0] > 1000 and picture[..., :3].std() > 0.1


def test_the_command_refuses_before_and_after_the_work(tmp_path, monkeypatch, capsys):
    path = write(tmp_path / "one.tif", beads(n=1, lost=0.0, n_frames=1)[0])
    options = ("--layout", "interleaved", "--pixel-size-nm", PIXEL_NM)
    code, _, err = run_command(monkeypatch, capsys, "register", path, "-o", tmp_path / "a.png", *options)
    assert (code, "its name must end in .yaml" in err) == (2, True)
    code, _, err = run_command(monkeypatch, capsys, "register", path, "-o", tmp_path / "a.yaml", *options)
    assert (code, "only 1 spot is seen" in err) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["one.tif"]
    forced = ("register", path, "-o", tmp_path / "a.yaml", *options, "--force")
    code, out, _ = run_command(monkeypatch, capsys, *forced)
    assert code == 0 and "only 1 spot is seen" in out and (tmp_path / "a.png").exists()


def test_the_yaml_of_live_runs_does_not_start_the_microscope(tmp_path, monkeypatch, capsys):
    movie = beads()
    path = write(tmp_path / "beads.tif", movie.reshape(-1, *movie.shape[2:]))
    for number, source in enumerate(("kind: microscope", "follow: true")):
        text = f"source: {{{source}}}\ncamera: {{offset: 100}}\noptics: {{pixel_size_nm: {PIXEL_NM}}}\n"
        (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
        output = tmp_path / f"{number}.yaml"
        options = ("-o", output, "--layout", "interleaved", "--config", tmp_path / "run.yaml")
        code, _, err = run_command(monkeypatch, capsys, "register", path, *options)
        assert code == 0, err
        assert largest_error(load_registration(output), affine(192)) < 0.05


class Scene:
    """Resting puncta, and calcium at each of them in turn, in a channel that lies elsewhere."""

    MATRIX = affine(SIDE, (9.0, -7.0))
    N_FRAMES, TAU = 160, 5.0

    def __init__(self, seed=1):
        rng = self.rng = np.random.default_rng(seed)
        grid = np.stack(np.meshgrid(np.arange(10, SIDE - 4, 16), np.arange(10, SIDE - 4, 16)), -1)
        self.xy = grid.reshape(-1, 2) + rng.uniform(-2, 2, (grid.size // 2, 2))
        there = moved(self.MATRIX, self.xy)
        seen = ((there > 6) & (there < SIDE - 7)).all(axis=1)
        self.events = [
            (k, onset)
            for k in np.flatnonzero(seen)
            for onset in (rng.integers(30, 70), rng.integers(90, 130))
        ]
        self.there = there

    def movie(self):
        """Counts (T, 2, H, W)."""
        piezo1 = image(SIDE, self.xy, 1200.0, 1.35)
        pages = []
        for frame in range(self.N_FRAMES):
            on = [(k, frame - onset) for k, onset in self.events if frame >= onset]
            light = np.array([math.exp(-age / self.TAU) for _, age in on]) * 2 * math.pi * 2.0**2 * 50.0
            calcium = image(SIDE, self.there[[k for k, _ in on]], light, 2.0, 60.0)
            pages.append(CAMERA.expose(np.stack([piezo1, calcium]), self.rng))
        return np.stack(pages)

    def found(self, events):
        """Share of the true events that are among those of a run: their punctum, onset within 3 frames."""
        hits = 0
        for k, onset in self.events:
            distance = np.hypot(
                events["x_nm"] / PIXEL_NM - self.xy[k, 0], events["y_nm"] / PIXEL_NM - self.xy[k, 1]
            )
            hits += bool(((distance < 250 / PIXEL_NM) & ((events["onset_frame"] - onset).abs() <= 3)).any())
        return hits / len(self.events)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """The scene, its movie, and a registration from beads that were taken before."""
    folder, scene = tmp_path_factory.mktemp("scene"), Scene()
    movie = scene.movie()
    tifffile.imwrite(folder / "movie.tif", movie, imagej=True, metadata={"axes": "TCYX"})
    taken = beads(side=SIDE, n=20, matrix=scene.MATRIX)
    tifffile.imwrite(folder / "beads.tif", taken, imagej=True, metadata={"axes": "TCYX"})
    registration = register(config(folder / "beads.tif")).registration
    assert largest_error(registration, scene.MATRIX) < 0.1  # 20 beads in so small a field touch
    save_registration(registration, folder / "registration.yaml")
    return scene, folder


def run(folder, runs, notes=None, movie="movie.tif", **more):
    options = config(
        folder / movie, output__folder=runs, engine__name="wavelet", source__interval_ms=50.0, **more
    )

    def listen(status):
        if notes is not None and isinstance(status, Note):
            notes.append(status.text)

    outcome = Supervisor(options, transport="inproc", on_status=listen).run()
    assert outcome.problem == ""
    return open_run(outcome.folder)


def test_calcium_is_found_at_the_right_puncta_only_with_the_registration(scene, tmp_path):
    truth, folder = scene
    notes = []
    registered = run(folder, tmp_path, notes, channels__registration=folder / "registration.yaml")
    plain = run(folder, tmp_path)
    assert truth.found(registered.events()) > 0.9
    assert truth.found(plain.events()) < 0.1
    # Transients anywhere are told where channel 1 has them too.
    transients = registered.transients()
    places = np.stack([transients["x_nm"], transients["y_nm"]], 1) / PIXEL_NM
    nearest = np.linalg.norm(places[:, None] - truth.xy, axis=2).min(axis=1)
    assert len(transients) > 0.8 * len(truth.events) and np.median(nearest) < 0.6

    known = registered.info["registration"]
    assert known["file"] == str(folder / "registration.yaml")
    np.testing.assert_allclose(known["transform"], truth.MATRIX, atol=0.05)
    assert known["residual_px"] < 0.1 and known["model"] == "affine"
    assert plain.info["registration"] is None
    assert any(note.startswith("registration: shift (+9.0") for note in notes)
    assert any("of the PIEZO1 image lies outside the calcium image" in w for w in registered.info["warnings"])


def test_the_amplitudes_are_those_of_channels_that_lie_on_each_other(scene, tmp_path):
    _, folder = scene
    events = run(folder, tmp_path, channels__registration=folder / "registration.yaml").events()
    assert np.median(events["amplitude_dff"]) == pytest.approx(50 / 60, rel=0.1)


def test_a_registration_that_does_not_suit_the_run_is_refused(scene, tmp_path):
    _, folder = scene
    other = replace(load_registration(folder / "registration.yaml"), image_size=(512, 256))
    save_registration(other, tmp_path / "other.yaml")
    (tmp_path / "no.yaml").write_text("matrix: 3", encoding="utf-8")
    for name, sentence in (
        ("other.yaml", "is for images of 256×512 pixels, those of movie have 96×96"),
        ("no.yaml", "no registration of format"),
        ("nowhere.yaml", "cannot read registration"),
    ):
        with pytest.raises(ConfigError, match=sentence) as error:
            Supervisor(config(folder / "movie.tif", channels__registration=tmp_path / name))
        assert str(error.value).startswith("channels.registration: ") and "\n" not in str(error.value)


def test_a_forced_registration_is_told_in_every_run(scene, tmp_path):
    _, folder = scene
    forced = replace(load_registration(folder / "registration.yaml"), cautions=("only a corner",))
    save_registration(forced, tmp_path / "forced.yaml")
    tifffile.imwrite(
        tmp_path / "m.tif",
        Scene().movie()[:10],
        imagej=True,
        metadata={"axes": "TCYX"},
        photometric="minisblack",
    )
    info = run(tmp_path, tmp_path, movie="m.tif", channels__registration=tmp_path / "forced.yaml").info
    assert "the registration was forced: only a corner" in info["warnings"]


def test_one_channel_needs_no_registration(scene, tmp_path):
    _, folder = scene
    write(tmp_path / "one.tif", Scene().movie()[:10, 0])
    opened = run(tmp_path, tmp_path, movie="one.tif", channels__registration=folder / "registration.yaml")
    assert opened.info["registration"] is None


def spots(xy):
    x, y = np.asarray(xy, float).T
    one = np.ones(len(x))
    return Localizations.from_columns(
        x_px=x,
        y_px=y,
        x_sd_px=0.2 * one,
        y_sd_px=0.2 * one,
        photons=500 * one,
        background=one,
        psf_sigma_px=one,
    )


def watch(detector, images, xy, gap):
    """Events and transients at resting tracks, the last of which is in a gap throughout."""
    ids, events, transients, last = np.arange(len(xy)), [], [], None
    none, at = NO_IDS, np.asarray(gap, np.float32).reshape(1, 2)
    for seq, picture in enumerate(images):
        confirmed = np.append(ids, len(xy)) if seq == 0 else none
        tracks = TrackUpdate(ids, np.array([len(xy)]), at[:, 0], at[:, 1], none, confirmed, none, none)
        last = detector.step(seq, 0.05 * seq, picture, spots(xy), tracks)
        events += last.events
        transients += last.transients
    return [*events, *detector.flush()], [*transients, *detector.flush_field()], last


@pytest.mark.parametrize("indicator", ["cytosolic", "tethered"])
def test_a_registration_of_nothing_changes_nothing(indicator):
    scene = Scene()
    images = [CAMERA.to_photons(page[1]) for page in scene.movie()]
    settings = CalciumConfig(indicator=indicator)
    arguments = images, scene.there[:-1], scene.there[-1]
    plain = watch(CalciumDetector(settings), *arguments)
    same = watch(RegisteredCalcium(CalciumDetector(settings), np.eye(2, 3)), *arguments)
    assert repr(plain[:2]) == repr(same[:2])
    np.testing.assert_array_equal(plain[2].dff, same[2].dff)


@pytest.mark.parametrize("indicator", ["cytosolic", "tethered"])
def test_a_channel_that_lies_whole_pixels_away_is_measured_as_before(indicator):
    """Its pixels are moved in memory, which tells the sign: (+6, -4) is right, the opposite is not."""
    scene = Scene()
    images = [CAMERA.to_photons(page[1]) for page in scene.movie()]
    there = np.stack([np.roll(picture, (-4, 6), (0, 1)) for picture in images])
    inner = scene.there[((scene.there > 16) & (scene.there < SIDE - 17)).all(axis=1)]
    settings = CalciumConfig(indicator=indicator)
    found = []
    for pictures, shift in ((images, (0, 0)), (there, (6, -4)), (there, (-6, 4))):
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], float)
        detector = RegisteredCalcium(CalciumDetector(settings), matrix)
        events, _, last = watch(detector, pictures, inner, inner[0])
        found.append((sorted((e.track_id, e.onset_frame) for e in events), last.dff))
    (plain, dff), (right, same), (wrong, _) = found
    assert len(plain) >= (len(inner) if indicator == "cytosolic" else 1)
    assert right == plain and len(wrong) < len(plain) / 2
    np.testing.assert_allclose(same, dff, atol=0.05)


@pytest.mark.parametrize("indicator", ["cytosolic", "tethered"])
def test_half_a_pixel_and_a_missing_border_make_no_calcium_of_noise(indicator):
    """Interpolating the image gave 70 false transients here, and a border that goes on 200."""
    rng, side = np.random.default_rng(1), 128
    grid = np.stack(np.meshgrid(np.arange(8, side, 14), np.arange(8, side, 14)), -1).reshape(-1, 2) + 0.3
    for matrix in (np.array([[1, 0, 0.5], [0, 1, 0.5]]), np.array([[1, 0, 20.0], [0, 1, 0]])):
        light = image(side, moved(matrix, grid), 600.0 * (indicator == "tethered"), 1.4, 60.0)
        images = (rng.poisson(light).astype(np.float32) for _ in range(150))
        detector = RegisteredCalcium(CalciumDetector(CalciumConfig(indicator=indicator)), matrix)
        events, transients, last = watch(detector, images, grid[:-1], grid[-1])
        assert len(events) <= 1 and len(transients) <= 2
        outside = moved(matrix, grid[:-1])[:, 0] > side + 4
        assert np.isnan(last.dff[outside]).all() and np.isfinite(last.dff[~outside]).mean() > 0.9


def test_what_is_handed_over_is_where_channel_1_has_it():
    scene = Scene()
    images = [CAMERA.to_photons(page[1]) for page in scene.movie()]
    detector = RegisteredCalcium(CalciumDetector(CalciumConfig()), scene.MATRIX)
    events, transients, _ = watch(detector, images, scene.xy[:-1], scene.xy[-1])
    for event in events:
        at = scene.xy[event.track_id]
        assert math.hypot(event.x_px - at[0], event.y_px - at[1]) < 1e-3
    assert len(events) > 0.9 * len(scene.events)
    assert all(-0.5 <= t.x_px <= SIDE - 0.5 and -0.5 <= t.y_px <= SIDE - 0.5 for t in transients)
