"""Runs a peer in an environment of its own: ``python peers_worker.py picasso|smappy``.

Imports nothing of this project, because the peers need other versions of its libraries. Each line of
standard input names a request and an answer, two .npz files with a tab between; each is answered with a
line once the answer is written.

A request holds `counts` (F, H, W) uint16, `camera` (offset, e_per_adu, read_noise_e, em_gain), `sigma` of
the PSF in pixels, `setting`, and which maxima to fit: those whose `strength` is at least this, and of them
the `most` strongest (−1: all). The answer holds `table` (N, 9): frame, x and y in pixels (centre of the
first pixel at 0), strength, photons, the standard deviations of x and y, and x and y of the maximum that
the fit began at; and `seconds`, the CPU time.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Counts = NDArray[np.uint16]
Locate = Callable[[Counts, Array, float, Array, float, int], Array]

N_THREADS = 1


def start_picasso() -> Locate:
    """Picasso's maximum-likelihood fits; a setting is a box size, strength is its net gradient."""
    from picasso import localize  # type: ignore[import-not-found]  # lives in the other environment

    def locate(
        counts: Counts, camera: Array, sigma: float, setting: Array, strength: float, most: int
    ) -> Array:
        box = int(setting[0])
        offset, e_per_adu, _, em_gain = camera
        info = {"Baseline": offset, "Sensitivity": e_per_adu, "Gain": em_gain, "Pixelsize": 1.0}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "movie.npy"  # Picasso takes movies from files only
            np.save(path, counts)
            movie = np.load(path, mmap_mode="r")
            found, _ = localize.identify(movie, max(strength, 0.0), box, threaded=False)
            if 0 <= most < len(found):
                found = found.nlargest(most, "net_gradient").sort_values("frame", ignore_index=True)
            fits, _ = localize.fit(
                movie,
                camera_info=info,
                identifications=found,
                box=box,
                fitting_method="gaussmle",
                multiprocess=False,
            )
        columns = ["frame", "x", "y", "net_gradient", "photons", "lpx", "lpy"]
        began = found.loc[fits.index, ["x", "y"]]  # it sorts its fits, and they keep their labels
        return np.column_stack([fits[columns], began]).astype(np.float64)

    return locate


def start_smappy() -> Locate:
    """SMAPpy's fits of a Gaussian with free width at maxima of a difference of Gaussians.

    A setting is the width of its narrow Gaussian in units of the PSF's and the side of the fit box;
    strength is the filtered value.
    """
    from smappy.camera import to_photons  # type: ignore[import-not-found]  # lives in the other environment
    from smappy.detect import (  # type: ignore[import-not-found]
        AbsoluteCutoff,
        DoGFilter,
        PeakFinder,
    )
    from smappy.fit_rois import cut_rois  # type: ignore[import-not-found]
    from smappy.locs import fit_to_localizations  # type: ignore[import-not-found]
    from smappy.metadata import CameraMetadata  # type: ignore[import-not-found]
    from smappy.pipeline import FitSettings, with_readout, without_readout  # type: ignore[import-not-found]
    from smappy.psf import GaussianPSF  # type: ignore[import-not-found]

    def locate(
        counts: Counts, camera: Array, sigma: float, setting: Array, strength: float, most: int
    ) -> Array:
        width, box = setting
        offset, e_per_adu, read_noise_e, em_gain = camera.tolist()
        chip = CameraMetadata(e_per_adu, offset, 1.0, em_gain > 1, em_gain, read_noise_e=read_noise_e)
        finder = PeakFinder(DoGFilter(width * sigma), AbsoluteCutoff(max(strength, 0.0)), N_THREADS)
        # The steps of its LocalizationEngine, which does not tell a fit's strength.
        photons = to_photons(counts, chip) / chip.excess_noise
        found, _ = finder(photons)
        if 0 <= most < len(found):
            found = found[np.argsort(-found.value)[:most]]
        rois = cut_rois(photons, found, int(box))
        if not len(rois):
            return np.empty((0, 9))
        model = GaussianPSF(sigma)
        images = with_readout(rois.images, chip.readout_variance)
        result = model.fit(images, FitSettings().iterations, N_THREADS)
        without_readout(result, model, chip.readout_variance)
        fits = fit_to_localizations(result, rois, model, chip)
        columns = ("photons", "x_err_pix", "y_err_pix", "peak_x_pix", "peak_y_pix")
        return np.column_stack(
            [fits["frame"], fits["x_pix"], fits["y_pix"], rois.candidates.value, *(fits[c] for c in columns)]
        ).astype(np.float64)

    return locate


PEERS: dict[str, Callable[[], Locate]] = {"picasso": start_picasso, "smappy": start_smappy}


def answer(locate: Locate, asked: str, answered: str) -> None:
    """Answer one request."""
    with np.load(asked) as request:
        strength = float(request["strength"])
        arguments: tuple[Any, ...] = (
            request["counts"],
            request["camera"],
            float(request["sigma"]),
            request["setting"],
            strength - 1e-6 * abs(strength),  # both keep what is above, not at it
            int(request["most"]),
        )
    start = time.process_time()
    table = locate(*arguments)
    np.savez(answered, table=table, seconds=time.process_time() - start)


def main(peer: str) -> None:
    """Answer requests until standard input ends."""
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers
        locate = PEERS[peer]()
        for line in sys.stdin:
            answer(locate, *line.rstrip("\n").split("\t"))
            print("answered", file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
