"""One engine measured in a process of its own: `python -m bench.engine_child REQUEST`, answers as JSON.

A process of its own, because libraries share neither threads nor memory well, and one may end it.
"""

import json
import sys
import time
from collections import deque
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from model.camera import Camera
from model.card import SHIPPED_MODEL, read_model
from model.engines.backends import BACKENDS, first_line
from model.engines.session import Session, Table
from model.graph_io import Opening, as_bytes

PUNCTA_PER_PIXEL = 0.0044  # 0.36/µm² at 110 nm, the density of real PIEZO1-HaloTag recordings
N_MOVIE_FRAMES = 8
MIB = 2**20


def movie(side: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A few dual-channel frames (2, side, side, 2) with puncta of 300 to 3000 photons at rest."""
    rng = np.random.default_rng(seed)
    light = np.full((2, side, side), 20.0)
    y, x = np.mgrid[-6:7, -6:7]
    n = max(round(PUNCTA_PER_PIXEL * side**2), 1)
    for column, row, photons in zip(
        rng.uniform(6, side - 7, n), rng.uniform(6, side - 7, n), rng.uniform(300, 3000, n), strict=True
    ):
        at_x, at_y = round(column), round(row)
        spot = np.exp(-((x + at_x - column) ** 2 + (y + at_y - row) ** 2) / (2 * 1.3**2))
        light[0, at_y - 6 : at_y + 7, at_x - 6 : at_x + 7] += photons * spot / (2 * np.pi * 1.3**2)
    return [as_bytes((rng.poisson(light) + 100).astype(np.uint16)) for _ in range(N_MOVIE_FRAMES)]


def measure(backend: str, model: Path, side: int, seconds: float) -> dict[str, object]:
    """Time a backend on frames of `side` × `side`, each figure from pixels in memory to puncta in memory."""
    process = psutil.Process()
    before = process.memory_info().rss
    graph, card = read_model(model)
    opening = Opening(graph, card, side, side, Camera(), np.eye(2, 3, dtype=np.float32), model)
    began = time.perf_counter()
    session = BACKENDS[backend][1](opening)
    frames = [frame[: len(card.channels)] for frame in movie(side)]
    found = _step(session, frames[0], card.threshold)
    open_s = time.perf_counter() - began
    for k in range(3):
        found = _step(session, frames[k], card.threshold)

    latency: list[float] = []
    cpu = time.process_time()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(latency) < 10:
        start = time.perf_counter()
        found = _step(session, frames[len(latency) % N_MOVIE_FRAMES], card.threshold)
        latency.append((time.perf_counter() - start) * 1e3)
    cpu_ms = (time.process_time() - cpu) * 1e3 / len(latency)
    p50, p95, p99 = np.percentile(latency, (50, 95, 99))
    return {
        "description": session.description,
        "open_s": open_s,
        "frames_per_s": _throughput(session, frames, card.threshold, seconds),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "cpu_ms": cpu_ms,
        "frames": len(latency),
        "memory_mib": (process.memory_info().rss - before) / MIB,
        "gpu_mib": _gpu_mib(),
        "puncta": len(found),
    }


def answers(backend: str, model: Path, movies: Path) -> tuple[list[Table], str]:
    """Tables of a backend for every frame of movies (M, T, 2, H, W), each a new one, and its description."""
    graph, card = read_model(model)
    counts = np.load(movies)
    height, width = counts.shape[3:]
    opening = Opening(graph, card, height, width, Camera(), np.eye(2, 3, dtype=np.float32), model)
    session = BACKENDS[backend][1](opening)
    late = card.window // 2
    tables: list[Table] = []
    for frames in counts:
        shown = [as_bytes(frame[: len(card.channels)]) for frame in frames]
        mine = [_step(session, frame, card.threshold) for frame in shown]
        mine += [_step(session, shown[-1], card.threshold, present=False) for _ in range(late)]
        tables += mine[late:]
        session.restart(keep_baseline=False)
    return tables, session.description


def _step(session: Session, counts: NDArray[np.uint8], threshold: float, present: bool = True) -> Table:
    session.submit(counts, present, threshold)
    return session.collect()


def _throughput(session: Session, frames: list[NDArray[np.uint8]], threshold: float, seconds: float) -> float:
    """Frames/s with as many steps under way as the session takes."""
    under_way: deque[int] = deque()
    began = time.perf_counter()
    n = 0
    while time.perf_counter() - began < seconds or n < 10:
        session.submit(frames[n % len(frames)], True, threshold)
        under_way.append(n)
        n += 1
        while len(under_way) >= session.max_under_way:
            under_way.popleft()
            session.collect()
    while under_way:
        under_way.popleft()
        session.collect()
    return n / (time.perf_counter() - began)


def _gpu_mib() -> float | None:
    """Memory of the GPU in use, where PyTorch sees one; what other libraries take there is in it."""
    if "torch" not in sys.modules:
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return float(total - free) / MIB


def main(request: dict[str, object]) -> None:
    """Do what is asked and print the answer as the last line; a failure is an answer too."""
    backend, model = str(request["backend"]), Path(str(request.get("model") or SHIPPED_MODEL))
    try:
        if "movies" in request:
            tables, description = answers(backend, model, Path(str(request["movies"])))
            np.savez(str(request["out"]), *tables)
            print(json.dumps({"description": description}))
        else:
            figures = measure(backend, model, int(str(request["side"])), float(str(request["seconds"])))
            print(json.dumps(figures))
    except Exception as error:  # each library has its own
        print(json.dumps({"problem": first_line(error)}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
