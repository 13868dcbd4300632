"""The peers of the localization benchmark: trackpy here, Picasso and SMAPpy in another environment."""

import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import trackpy

from bench.methods import Answer, Cut, Method, Setting
from bench.scenes import Scene
from bench.scoring import N_COLUMNS, PHOTONS, STRENGTH, X_SD, Y_SD, X, Y
from model.optics import Array

WORKER = Path(__file__).with_name("peers_worker.py")
# Below trackpy's default (diameter + 1), which forbids close pairs: this favours it by far.
TRACKPY_SEPARATION = 3

PICASSO, SMAPPY = "Picasso", "SMAPpy"
MODULES = {PICASSO: "picasso", SMAPPY: "smappy"}
# The filter's width in units of the PSF's: narrower than SMAPpy's default of 1 finds more close pairs. Fit
# boxes are narrower than its default of 13 pixels, which mixes neighbours; both favour it by far.
PARAMETERS: dict[str, tuple[tuple[str, ...], tuple[Setting, ...]]] = {
    PICASSO: (("box",), ((5.0,), (7.0,))),
    SMAPPY: (("filter", "box"), tuple((width, box) for width in (0.5, 0.7, 0.85, 1.0) for box in (5.0, 7.0))),
}
LARGEST_SD_PX = 1.0  # a fit that does not know its own pixel found nothing


def trackpy_method() -> Method:
    """trackpy.locate (Crocker–Grier centroids); strength is its mass, which `minmass` cuts.

    A centroid lies within its mask and claims no uncertainty here: there is nothing like `sound` to do.
    """
    return Method("trackpy, tuned", ("diameter",), ((5.0,), (7.0,)), _locate_trackpy)


def _locate_trackpy(scene: Scene, setting: Setting, cut: Cut) -> Answer:
    rows = [np.empty((0, N_COLUMNS))]
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns about every frame in which it finds nothing
        for k, counts in enumerate(scene.counts):
            found = trackpy.locate(counts, int(setting[0]), separation=TRACKPY_SEPARATION, characterize=False)
            table = np.full((len(found), N_COLUMNS), np.nan)
            table[:, : STRENGTH + 1] = np.column_stack([np.full(len(found), k), found[["x", "y", "mass"]]])
            rows.append(table)
    seconds = time.process_time() - start
    table = np.concatenate(rows)
    return Answer(table[table[:, STRENGTH] >= cut.strength], seconds)


def sound(table: Array, box: float) -> Array:
    """Drop the fits that ran away, as the users of fits do before they look at them.

    Dropped is what is not finite, what ended outside the pixels it was fitted to, and what claims an
    uncertainty of zero, NaN or more than a pixel. A limit nearer than the box's edge would be unfair: fits
    of merged maxima walk far and are often right (1.5 px costs SMAPpy .02 in Jaccard at 1/µm²).

    Parameters
    ----------
    table
        Rows of `bench.peers_worker` (N, 9).
    box
        Side of the fit box in pixels.

    Returns
    -------
    Those that are left, without where they began (M, N_COLUMNS).
    """
    walked = np.abs(table[:, [X, Y]] - table[:, N_COLUMNS:]).max(axis=1, initial=0.0)
    claimed = table[:, [X_SD, Y_SD]]
    known = np.isfinite(table[:, : PHOTONS + 1]).all(axis=1)
    honest = ((claimed > 0) & (claimed <= LARGEST_SD_PX)).all(axis=1)
    return np.asarray(table[known & honest & (walked <= box / 2), :N_COLUMNS])


def can_import(python: Path, peer: str) -> bool:
    """Whether a Python has a peer."""
    try:
        done = subprocess.run([python, "-c", f"import {MODULES[peer]}"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


class Peer:
    """A peer in a process of its own: `Peer(python, "Picasso")` as a context.

    Parameters
    ----------
    python
        Interpreter that can import it.
    name
        `PICASSO` or `SMAPPY`.
    """

    def __init__(self, python: Path, name: str) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="piezo1-bench-")
        self._errors = (Path(self._folder.name) / "errors.txt").open("w+")
        self._process = subprocess.Popen(
            [python, WORKER, MODULES[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def method(self) -> Method:
        """What takes part in the benchmark."""
        return Method(f"{self._name}, tuned", *PARAMETERS[self._name], self.locate)

    def locate(self, scene: Scene, setting: Setting, cut: Cut) -> Answer:
        """Maximum-likelihood fits that did not run away; the last value of a setting is the box.

        Raises
        ------
        RuntimeError
            If the worker fails; the message ends with what it said.
        """
        camera = scene.camera
        asked, answered = (Path(self._folder.name) / f"{part}.npz" for part in ("request", "answer"))
        np.savez(
            asked,
            counts=scene.counts,
            camera=np.array([camera.offset, camera.e_per_adu, camera.read_noise_e, camera.em_gain]),
            sigma=scene.sigma_px,
            setting=np.array(setting),
            strength=cut.strength,
            most=-1 if cut.most is None else cut.most,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{asked}\t{answered}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has failed, and said why
        if not self._process.stdout.readline():
            self._errors.seek(0)
            raise RuntimeError(f"the {self._name} worker failed: {self._errors.read().strip()[-500:]}")
        with np.load(answered) as answer:
            return Answer(sound(answer["table"], setting[-1]), float(answer["seconds"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()
        self._errors.close()
        self._folder.cleanup()
