"""Commands that make data and networks: simulate, train, export."""

from pathlib import Path
from typing import Annotated

import typer

from commands.shared import Precision, fail, out


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="new folder for the data set; with --card-of, the picture")
    ],
    num_samples: Annotated[int, typer.Option(min=1, help="number of movies")] = 1,
    frames_per_sample: Annotated[int, typer.Option(min=1, help="frames in each movie")] = 50,
    image_size: Annotated[tuple[int, int], typer.Option(help="height and width, pixels")] = (256, 256),
    num_puncta_mean: Annotated[float | None, typer.Option(help="mean puncta in an image")] = None,
    psf_type: Annotated[str, typer.Option(help="gaussian or airy")] = "gaussian",
    sigma_nm: Annotated[float, typer.Option(help="σ of the PSF, nm")] = 150.0,
    pixel_size_nm: Annotated[float, typer.Option(help="pixel size, nm")] = 108.0,
    interval_ms: Annotated[float, typer.Option(help="frame interval, ms")] = 50.0,
    camera: Annotated[str, typer.Option(help="scmos or emccd")] = "scmos",
    baseline: Annotated[float | None, typer.Option(help="camera offset, ADU")] = None,
    read_noise_std: Annotated[float | None, typer.Option(help="read noise, electrons r.m.s.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="same seed, same movies")] = 0,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="any other parameter, e.g. photons=500; a wrong name lists them all"),
    ] = None,
    compress: Annotated[
        bool, typer.Option("--compress", help="smaller movies, without loss; slower")
    ] = False,
    card_of: Annotated[
        Path | None, typer.Option(help="only draw what the training with this YAML simulates, into -o")
    ] = None,
) -> None:
    """Simulate dual-channel movies with their truth, and a card.png to hold beside real recordings.

    Example: `piezo1 simulate -o data/test --num-samples 10 --num-puncta-mean 50`
    Training: `piezo1 simulate --card-of configs/train_localization.yaml -o card.png`
    """
    from rich.progress import Progress

    from train.card import save_card
    from train.card_scenes import scenes_card
    from train.fit_load import load_fit_config
    from train.movie import write_dataset
    from train.options import simulation_config
    from train.simulation_config import SimulationError

    if card_of is not None:
        ranges = load_fit_config(card_of).simulation
        save_card(scenes_card(ranges, f"Training data of {card_of.name}", seed), output)
        out.print(f"card: {output}", soft_wrap=True)
        return
    try:
        settings = simulation_config(
            sets or [],
            n_frames=frames_per_sample,
            image_size=image_size,
            num_puncta_mean=num_puncta_mean,
            psf_type=psf_type,
            psf_sigma_nm=sigma_nm,
            pixel_size_nm=pixel_size_nm,
            interval_ms=interval_ms,
            camera=camera,
            offset_adu=baseline,
            read_noise_e=read_noise_std,
        )
    except SimulationError as error:  # nothing was written yet: the options are wrong
        fail(str(error), 2)
    with Progress(console=out) as bar:
        task = bar.add_task("simulate", total=None)
        samples = write_dataset(
            output,
            num_samples,
            settings,
            seed,
            lambda done, total: bar.update(task, completed=done, total=total),
            compress=compress,
        )
    out.print(f"{len(samples)} movies of {frames_per_sample} frames and card.png in {output}", soft_wrap=True)


def train(
    output: Annotated[Path, typer.Option("--output", "-o", help="folder for checkpoints and logs")],
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML that describes the training")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="fine-tune from this best_model.pth")] = None,
    num_iterations: Annotated[int | None, typer.Option(help="optimizer steps in all")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="highest learning rate")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="override any value, e.g. data.batch_size=16; repeatable"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the training in --output")] = False,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="first check: learn one batch by heart, in --output/overfit")
    ] = False,
    gpu: Annotated[int | None, typer.Option(help="number of the GPU")] = None,
) -> None:
    """Train a network on scenes that are simulated on the way.

    Example: `piezo1 train --config configs/train_localization.yaml --output checkpoints/localization`
    """
    from train.fit import CONFIG, fit
    from train.fit_load import load_fit_config
    from train.overfit import OVERFIT, overfit_config, run_overfit

    if overfit and (resume or checkpoint):
        fail("--overfit starts afresh: leave --resume and --checkpoint out", 2)
    if resume and config is None and (output / CONFIG).exists():
        config = output / CONFIG
    options = {"training.num_iterations": num_iterations, "training.learning_rate": learning_rate}
    settings = load_fit_config(config, sets or (), options)
    if overfit:
        settings = overfit_config(settings, num_iterations, learning_rate)
        outcome = run_overfit(settings, output / OVERFIT, out, gpu=gpu)
    else:
        outcome = fit(settings, output, out, checkpoint=checkpoint, resume=resume, gpu=gpu)
    out.print(f"best after {outcome.best_step} steps: {outcome.figures}", soft_wrap=True)
    out.print(f"checkpoint: {outcome.best}", soft_wrap=True)


def export(
    checkpoints: Annotated[
        list[Path], typer.Argument(help="best_model.pth of a training; of several: an ensemble")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file; its card lies beside it")],
    threshold: Annotated[
        float | None,
        typer.Option(min=0.02, max=0.99, help="detection threshold; left out: the best on validation scenes"),
    ] = None,
    precision: Annotated[Precision, typer.Option(help="of the network; fp16 for TensorRT")] = "fp32",
) -> None:
    """Turn a trained network into the model that replay and live use, without torch.

    Example: `piezo1 export checkpoints/hybrid/best_model.pth -o model.onnx`
    """
    from train.release import release

    card = release(checkpoints, output, threshold, precision)
    out.print(f"{output}: threshold {card.threshold:g}, {card.metrics}", markup=False, soft_wrap=True)
