"""Runs Picasso in an environment of its own: ``python peers_worker.py request.npz answer.npz``.

Imports nothing of this project, because Picasso needs other versions of its libraries. The request holds,
for each movie i, `counts_i` (F, H, W) uint16 and `camera_i` (offset, e_per_adu, em_gain), and `boxes`, the
box sizes to try. The answer holds for each movie and box `table_i_box` (N, 4): frame, x and y in pixels
(centre of the first pixel at 0) and net gradient, the quantity that Picasso's detection threshold cuts;
and `seconds_i_box`, the CPU time.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picasso import localize  # type: ignore[import-not-found]  # lives in the other environment


def locate(counts: NDArray[np.uint16], camera: NDArray[np.float64], box: int) -> NDArray[np.float64]:
    """Every maximum that Picasso finds, fitted by its maximum-likelihood method."""
    info = {"Baseline": camera[0], "Sensitivity": camera[1], "Gain": camera[2], "Pixelsize": 1.0}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.npy"  # Picasso takes movies from files only
        np.save(path, counts)
        movie = np.load(path, mmap_mode="r")
        found, _ = localize.identify(movie, 0.0, box, threaded=False)
        fits, _ = localize.fit(
            movie,
            camera_info=info,
            identifications=found,
            box=box,
            fitting_method="gaussmle",
            multiprocess=False,
        )
    return np.asarray(fits[["frame", "x", "y", "net_gradient"]], np.float64)


def main(request_path: str, answer_path: str) -> None:
    """Answer one request."""
    answer: dict[str, Any] = {}
    with np.load(request_path) as request:
        n_movies = sum(name.startswith("counts_") for name in request.files)
        for box in request["boxes"].tolist():
            locate(request["counts_0"][:1], request["camera_0"], box)  # compiles
            for i in range(n_movies):
                counts = request[f"counts_{i}"]
                start = time.process_time()
                answer[f"table_{i}_{box}"] = locate(counts, request[f"camera_{i}"], box)
                answer[f"seconds_{i}_{box}"] = time.process_time() - start
    np.savez(answer_path, **answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
