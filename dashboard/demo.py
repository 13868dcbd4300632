"""The demo: replay a small simulated movie through real sockets, judge against the truth, draw."""

from pathlib import Path

import tifffile
from rich.console import Console

from dashboard.launch import DashboardLauncher
from dashboard.overview import save_overview
from dashboard.terminal import RunBar
from stream.load import load_config
from stream.pipeline import Supervisor
from stream.record.run import Run, open_run
from stream.results import StreamError
from train.evaluate import Evaluation, evaluate
from train.truth import load_truth

# Ships with the program, so that the demo needs no simulator; its README says how it was made.
SAMPLE = Path(__file__).parent / "demo_sample"


def run_demo(output: Path, console: Console, *, with_dashboard: bool = False) -> None:
    """Replay the shipped sample into a new run folder below `output`, judge and draw it.

    With a dashboard it goes as slowly as the movie was recorded, so that there is something to watch.

    Raises
    ------
    SimulationError, ConfigError, StreamError
        If the run cannot be written or fails.
    NoWindowError
        If a dashboard is wanted and no window can be opened here.
    """
    truth = load_truth(SAMPLE)
    # The camera and the PSF are known here, as a lab knows its own; everything else is found.
    config = load_config(
        options={
            "source.path": SAMPLE / "movie.tif",
            "camera.offset": truth.camera.offset,
            "camera.e_per_adu": truth.camera.e_per_adu,
            "camera.read_noise_e": truth.camera.read_noise_e,
            "optics.psf_sigma_nm": float(truth.puncta["psf_sigma_nm"].iloc[0]),
            "output.folder": output,
            "source.speed": "realtime" if with_dashboard else "max",
        }
    )
    run_bar = RunBar(console, "replay")
    on_status = DashboardLauncher(run_bar.update).update if with_dashboard else run_bar.update
    with run_bar:
        outcome = Supervisor(config, on_status=on_status).run()
    if outcome.problem:
        raise StreamError(outcome.problem)
    if outcome.info.get("state") != "finished":
        console.print("stopped: a part of the movie is not judged against all of it")
        return
    evaluation = evaluate_run(outcome.folder, SAMPLE)
    for line in evaluation.summary():
        console.print(line, soft_wrap=True)
    rate = outcome.info["timings"]["frames_per_s"]
    console.print(f"speed    {rate:.0f} frames/s through the stream")
    picture = outcome.folder / "overview.png"
    draw_overview(open_run(outcome.folder), SAMPLE / "movie.tif", picture)
    console.print(f"run      {outcome.folder}\npicture  {picture}", soft_wrap=True)


def evaluate_run(run: Path, sample: Path) -> Evaluation:
    """Judge a finished run against the truth of the simulated sample that it replayed.

    Raises
    ------
    StreamError, SimulationError
        If either folder is not what it should be, or they are not of one movie.
    """
    opened, truth = open_run(run), load_truth(sample)
    size, last = tuple(opened.info["source"]["shape"][1:]), opened.info["counts"]["last_frame"]
    if size != truth.image_size or (last is not None and last >= truth.n_frames):
        raise StreamError(
            f"{run} has images of {size} pixels up to frame {last}, the truth in {sample} is of "
            f"{truth.n_frames} frames of {truth.image_size}: give the sample that the run replayed"
        )
    return evaluate(truth, opened.puncta(), opened.events(), opened.tracks())


def unseen(run: Path, sample: Path) -> str:
    """A sentence where the run saw less than the whole sample, else empty; what it did not see is missed."""
    n_seen, n_frames = open_run(run).info["counts"]["frames_out"], load_truth(sample).n_frames
    if n_seen >= n_frames:
        return ""
    return f"the run saw {n_seen} of the sample's {n_frames} frames; all others count as missed"


def draw_overview(run: Run, movie: Path, picture: Path) -> None:
    """Draw the frame of a simulated movie in which most calcium events are on."""
    n_frames = run.info["counts"]["frames_out"]
    events = run.events()
    on = [((events["onset_frame"] <= f) & (f <= events["end_frame"])).sum() for f in range(n_frames)]
    frame = max(range(n_frames), key=on.__getitem__)
    with tifffile.TiffFile(movie) as tiff:
        piezo1, calcium = (tiff.pages[2 * frame + channel].asarray() for channel in (0, 1))
    puncta = run.puncta()
    save_overview(
        picture,
        piezo1,
        calcium,
        puncta[puncta["frame"] == frame],
        run.trajectories(),
        events,
        pixel_size_nm=run.info["pixel_size_nm"],
        interval_s=run.info["interval_s"],
        title=f"Simulated PIEZO1 puncta and calcium, frame {frame} of {n_frames}",
    )
