"""Commands on finished runs: evaluate, refine, cooccurrence, recover."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.commands import Json
from commands.shared import out


def evaluate(
    run: Annotated[Path, typer.Argument(help="run folder")],
    truth: Annotated[Path, typer.Option(help="folder of the simulated sample (ground_truth.csv, …)")],
    json: Json = None,
) -> None:
    """Judge a run against the truth of the movie it replayed.

    Example: `piezo1 evaluate runs/2026-11-22T14-03-05_movie --truth data/test/sample_00000`
    """
    from bench.outputs import write_json
    from dashboard.demo import evaluate_run, unseen

    evaluation = evaluate_run(run, truth)
    if caution := unseen(run, truth):
        out.print(f"[yellow]note:[/] {caution}", soft_wrap=True)
    for line in evaluation.summary():
        out.print(line, soft_wrap=True)
    write_json(json, evaluation.as_dict())


def refine(
    run: Annotated[Path, typer.Argument(help="run folder, finished")],
    source: Annotated[
        Literal["tracks", "puncta"],
        typer.Option("--from", help="join the online tracks, or link all puncta again (TrackMate's way)"),
    ] = "tracks",
    linking_distance_nm: Annotated[
        float | None, typer.Option(help="longest link to the next frame; only with --from puncta")
    ] = None,
    gap_closing_distance_nm: Annotated[float | None, typer.Option(help="longest distance over a gap")] = None,
    max_frame_gap: Annotated[
        int | None, typer.Option(help="frames from before a gap to after it; 2 bridges one missing frame")
    ] = None,
    splitting_distance_nm: Annotated[
        float | None, typer.Option(help="longest distance at a split; left out: none are sought")
    ] = None,
    merging_distance_nm: Annotated[
        float | None, typer.Option(help="longest distance at a merge; left out: none are sought")
    ] = None,
    brightness_penalty: Annotated[
        float | None, typer.Option(help="TrackMate's feature penalty on mean intensity; 0: distances alone")
    ] = None,
    trackmate_costs: Annotated[
        bool, typer.Option("--trackmate-costs", help="cost of not joining as in TrackMate")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace an earlier refinement of this run")
    ] = False,
) -> None:
    """Close gaps, find splits and merges with the whole run in view (laptrack), into RUN/refined.

    Distances that are not given follow from the run's diffusion coefficients and frame interval.
    Example: `piezo1 refine runs/2026-11-22T14-03-05_movie`
    """
    from stream.refine.options import RefineOptions
    from stream.refine.refine import refine as refine_run

    options = RefineOptions(
        source=source,
        linking_distance_nm=linking_distance_nm,
        gap_closing_distance_nm=gap_closing_distance_nm,
        max_frame_gap=max_frame_gap,
        splitting_distance_nm=splitting_distance_nm,
        merging_distance_nm=merging_distance_nm,
        brightness_penalty=brightness_penalty,
        trackmate_costs=trackmate_costs,
    )
    with out.status("refine") as status:
        refined = refine_run(
            run, options, overwrite=overwrite, report=lambda step: status.update(f"refine: {step}")
        )
    out.print(refined.summary(), soft_wrap=True)


def cooccurrence(
    run: Annotated[Path, typer.Argument(help="run folder, finished")],
    radius_nm: Annotated[float, typer.Option(min=1, max=2000, help="how near is at a punctum, nm")] = 250.0,
    shifts: Annotated[int, typer.Option(min=1, help="random shifts of each kind")] = 999,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same shifts")] = 0,
) -> None:
    """Test whether calcium rises at puncta more often than by chance, into RUN/cooccurrence.json.

    Example: `piezo1 cooccurrence runs/2026-11-22T14-03-05_movie`
    """
    from stream.cooccurrence.run import COOCCURRENCE_JSON, cooccurrence_of_run

    with out.status("shift transients in space and in time"):
        result = cooccurrence_of_run(run, radius_nm=radius_nm, n_shifts=shifts, seed=seed)
    for line in result.summary():
        out.print(line, soft_wrap=True)
    out.print(f"written: {run / COOCCURRENCE_JSON}", soft_wrap=True)


def recover(run: Annotated[Path, typer.Argument(help="run folder")]) -> None:
    """Finish a run that was killed: fold its journal into readable tables.

    Example: `piezo1 recover runs/2026-11-22T14-03-05_movie`
    """
    from stream.record.complete import recover as recover_run

    out.print(recover_run(run).message)
