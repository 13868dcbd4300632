"""Co-occurrence of puncta and calcium transients in a finished run."""

import json
from pathlib import Path

import numpy as np

from stream.cooccurrence.association import N_SHIFTS, RADIUS_NM, CoOccurrence, cooccurrence
from stream.cooccurrence.null import Field
from stream.record.run import Run, cannot_write, open_run
from stream.results import StreamError

COOCCURRENCE_JSON = "cooccurrence.json"
TRANSIENTS = "calcium_transients"


def cooccurrence_of_run(
    folder: Path, *, radius_nm: float = RADIUS_NM, n_shifts: int = N_SHIFTS, seed: int = 0
) -> CoOccurrence:
    """Test whether calcium rises at the puncta of a run, and write `cooccurrence.json` into its folder.

    Puncta are those of tracks, bridged gaps included; transients are those found anywhere in the field,
    without waves.

    Parameters
    ----------
    folder
        The run folder.
    radius_nm, n_shifts, seed
        As for `stream.cooccurrence.association.cooccurrence`.

    Raises
    ------
    StreamError
        If it is no finished run, calcium was not looked for, the parameters make no sense, or the result
        cannot be written.
    """
    run = open_run(folder)
    calcium = run.info["source"]["shape"][0] == 2 and run.info["configuration"]["calcium"]["enabled"]
    if not calcium or not (folder / f"{TRANSIENTS}.parquet").exists():
        raise StreamError(
            f"run {folder} has no {TRANSIENTS}: it was recorded without calcium, or by a version that did "
            "not look for them; replay the movie again"
        )
    transients = run.transients()
    transients = transients[~transients["is_wave"].astype(bool)]
    try:
        result = cooccurrence(
            run.trajectories(), transients, field_of(run), radius_nm=radius_nm, n_shifts=n_shifts, seed=seed
        )
    except ValueError as error:
        raise StreamError(f"cannot compare puncta and calcium of {folder}: {error}") from error
    path = folder / COOCCURRENCE_JSON
    try:
        path.write_text(json.dumps(result.as_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error, "make room and ask again") from error
    return result


def field_of(run: Run) -> Field:
    """Where and when a run looked: the image, whose first pixel's centre is at 0, and its recorded frames."""
    height, width = run.info["source"]["shape"][1:]
    nm = run.info["pixel_size_nm"]
    frames = np.unique(run.frames()["frame"].to_numpy(np.int64))
    return Field(x_nm=(-nm / 2, (width - 0.5) * nm), y_nm=(-nm / 2, (height - 0.5) * nm), frames=frames)
