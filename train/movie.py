"""Simulated data sets on disk: a movie, its truth and what it was made with, one folder a sample."""

import csv
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from train.card import save_card
from train.card_data import dataset_card
from train.simulate import SimulatedFrame, TrueEvent, simulate
from train.simulation_config import SimulationConfig, SimulationError
from train.truth import EVENT_COLUMNS, TRUTH_COLUMNS

# Classic TIFF addresses 4 GiB; the rest is room for page headers.
CLASSIC_TIFF_BYTES = 2**32 - 2**28

Progress = Callable[[int, int], None]


def write_dataset(
    folder: Path,
    n_samples: int,
    config: SimulationConfig,
    seed: int,
    progress: Progress | None = None,
    *,
    compress: bool = False,
) -> list[Path]:
    """Write `sample_00000`, `sample_00001`, … and their card into a new folder and give the samples' paths.

    Every sample has a seed of its own, child number i of `seed`: the first samples of a longer data set
    are those of a shorter one.

    Parameters
    ----------
    folder
        Made here; must not exist, or be empty.
    progress
        Called with the frames written and the frames in all, after each frame.
    compress
        Deflate the movies, without loss: less than half the size, slower.

    Raises
    ------
    SimulationError
        If the folder holds something already, the disk is too small or cannot be written, or
        `n_samples` or `seed` make no sense.
    """
    if n_samples < 1:
        raise SimulationError(f"num_samples is {n_samples}; it must be at least 1")
    if seed < 0:
        raise SimulationError(f"seed is {seed}; it must be 0 or more")
    if folder.is_file():
        raise SimulationError(f"{folder} is a file; give a folder for the data set")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise SimulationError(f"{folder} exists and is not empty; choose another folder or remove it")
        folder.mkdir(parents=True, exist_ok=True)
        needed, free = n_samples * _movie_bytes(config), shutil.disk_usage(folder).free
        if needed > free:
            raise SimulationError(
                f"the movies need {needed / 1e9:.1f} GB but {folder} has {free / 1e9:.1f} GB free; "
                "ask for fewer or smaller ones"
            )
        samples = []
        for i in range(n_samples):
            sample = folder / f"sample_{i:05d}"
            write_sample(
                sample,
                config,
                np.random.SeedSequence(seed, spawn_key=(i,)),
                progress and _part_of(progress, i * config.n_frames, n_samples * config.n_frames),
                compress=compress,
            )
            samples.append(sample)
        save_card(dataset_card(folder), folder / "card.png")
    except OSError as error:
        raise SimulationError(f"cannot write the data set in {folder}: {error.strerror or error}") from error
    return samples


def write_sample(
    folder: Path,
    config: SimulationConfig,
    seed: int | np.random.SeedSequence,
    progress: Progress | None = None,
    *,
    compress: bool = False,
) -> None:
    """Write `movie.tif`, `ground_truth.csv`, `calcium_events.csv` and `metadata.json` into `folder`.

    The movie is an OME-TIFF with axes TCYX, uint16, written frame by frame: memory does not grow
    with it. Puncta in a blink are absent from the truth and come back under their `track_id`.
    `metadata.json` is written last, so a sample that has one is complete.
    """
    sequence = np.random.SeedSequence(seed) if isinstance(seed, int) else seed
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"n_localizations": 0, "n_events": 0}
    track_ids: set[int] = set()

    with (
        _table(folder / "ground_truth.csv") as truth_file,
        _table(folder / "calcium_events.csv") as events_file,
    ):
        truth, events = csv.writer(truth_file), csv.writer(events_file)
        truth.writerow(TRUTH_COLUMNS)
        events.writerow(EVENT_COLUMNS)

        def pages() -> Iterator[NDArray[np.uint16]]:
            for frame in simulate(config, sequence):
                truth.writerows(_truth_rows(frame, config))
                for event in frame.events:
                    events.writerow(_event_row(counts["n_events"], event, config))
                    counts["n_events"] += 1
                counts["n_localizations"] += len(frame.truth.track_id)
                track_ids.update(frame.truth.track_id.tolist())
                if progress:  # after the last page, nobody asks for another one
                    progress(frame.index + 1, config.n_frames)
                yield from frame.pixels

        _write_movie(folder / "movie.tif", pages(), config, compress=compress)

    metadata = {
        "format": "piezo1 simulated sample 1",
        "config": config.model_dump(mode="json"),
        "seed": {"entropy": sequence.entropy, "spawn_key": list(sequence.spawn_key)},
        "axes": "TCYX",
        "channels": ["PIEZO1", "calcium"],
        "shape": [config.n_frames, 2, *config.image_size],
        "interval_s": config.interval_s,
        "pixel_size_nm": config.pixel_size_nm,
        "camera": asdict(config.camera_model()),
        "n_tracks": len(track_ids),
        **counts,
    }
    (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")


def _write_movie(
    path: Path, pages: Iterator[NDArray[np.uint16]], config: SimulationConfig, *, compress: bool
) -> None:
    pixel_size_um = config.pixel_size_nm / 1000
    metadata = {
        "axes": "TCYX",
        "Channel": {"Name": ["PIEZO1", "calcium"]},
        "TimeIncrement": config.interval_s,
        "TimeIncrementUnit": "s",
        "PhysicalSizeX": pixel_size_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": pixel_size_um,
        "PhysicalSizeYUnit": "µm",
    }
    big = _movie_bytes(config) > CLASSIC_TIFF_BYTES
    with tifffile.TiffWriter(path, bigtiff=big, ome=True) as writer:
        writer.write(
            pages,
            shape=(config.n_frames, 2, *config.image_size),
            dtype=np.uint16,
            photometric="minisblack",
            resolution=(1e4 / pixel_size_um, 1e4 / pixel_size_um),
            resolutionunit="CENTIMETER",
            metadata=metadata,
            compression="zlib" if compress else None,
            compressionargs={"level": 12} if compress else None,
        )


def _truth_rows(frame: SimulatedFrame, config: SimulationConfig) -> Iterator[tuple[str | int, ...]]:
    time = f"{frame.index * config.interval_s:.6g}"
    sigma = f"{config.psf_sigma_nm:.6g}"
    t, nm = frame.truth, config.pixel_size_nm
    diffusion = (t.step_px * nm / 1000) ** 2 / (2 * config.interval_s)
    columns = (t.track_id, t.x_px * nm, t.y_px * nm, t.photons, t.background, t.dff, t.is_on, diffusion)
    for track_id, x, y, photons, background, dff, is_on, d in zip(
        *(c.tolist() for c in columns), strict=True
    ):
        yield (
            frame.index,
            time,
            track_id,
            f"{x:.2f}",
            f"{y:.2f}",
            f"{photons:.2f}",
            f"{background:.3f}",
            sigma,
            f"{dff:.4f}",
            int(is_on),
            "" if math.isnan(d) else f"{d:.5g}",
        )


def _event_row(event_id: int, event: TrueEvent, config: SimulationConfig) -> tuple[str | int, ...]:
    """Row of an event; one that outlasts the movie is cut at its last frame."""
    end_frame = min(event.end_frame, config.n_frames - 1)
    return (
        event_id,
        event.track_id,
        event.onset_frame,
        event.peak_frame,
        end_frame,
        f"{event.onset_frame * config.interval_s:.6g}",
        f"{(end_frame - event.onset_frame) * config.interval_s:.6g}",
        f"{event.amplitude_dff:.4f}",
        f"{event.x_px * config.pixel_size_nm:.2f}",
        f"{event.y_px * config.pixel_size_nm:.2f}",
    )


def _part_of(progress: Progress, before: int, total: int) -> Progress:
    """Progress of one sample as progress of the whole data set."""
    return lambda done, _: progress(before + done, total)


def _movie_bytes(config: SimulationConfig) -> int:
    height, width = config.image_size
    return 2 * 2 * config.n_frames * height * width


def _table(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="")
