"""`piezo1 live`: the configuration of a live run, and the run itself in the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from dashboard.demo import SAMPLE
from dashboard.launch import DashboardLauncher, check_watchable
from dashboard.terminal import RunBar, report
from stream.config import ConfigError, RunConfig
from stream.load import load_config
from stream.pipeline import RunOutcome, Supervisor
from train.truth import load_truth


def live_config(
    path: Path | None, overrides: Sequence[str], options: Mapping[str, Any], *, demo: bool
) -> RunConfig:
    """Configuration of a run at the microscope, or on Micro-Manager's demo cameras.

    Parameters
    ----------
    path, overrides, options
        As for `load_config`.
    demo
        Take the demo cameras, with the shipped simulated movie as their scene unless another is named.

    Raises
    ------
    ConfigError
        If something is wrong, or it is not said how to image.
    """
    fixed = {"source.kind": "microscope", **({"microscope.camera": "demo"} if demo else {})}
    # Live frames never wait; whoever wants every frame analysed may still ask for lossless.
    defaults = {"source.delivery": "live"}
    config = load_config(path, overrides, {**options, **fixed}, defaults=defaults)
    microscope = config.microscope
    if microscope.camera == "demo":
        if microscope.scene is None:
            config = load_config(path, overrides, {**options, **fixed}, defaults=defaults | demo_defaults())
        return config
    if config.network.role == "analysis":
        return config
    if microscope.configuration is None and microscope.backend != "java":
        raise ConfigError(
            "no microscope is named: set microscope.configuration to Micro-Manager's .cfg file (and "
            "microscope.folder to Micro-Manager's folder), or try --camera demo"
        )
    return config


def demo_defaults() -> dict[str, Any]:
    """What is known of the shipped scene, as a lab knows its own microscope."""
    truth = load_truth(SAMPLE)
    return {
        "microscope.scene": SAMPLE / "movie.tif",
        "microscope.exposure_ms": truth.interval_s * 1e3,
        "optics.pixel_size_nm": truth.pixel_size_nm,
        "optics.psf_sigma_nm": float(truth.puncta["psf_sigma_nm"].iloc[0]),
        "camera.offset": truth.camera.offset,
        "camera.e_per_adu": truth.camera.e_per_adu,
        "camera.read_noise_e": truth.camera.read_noise_e,
    }


def run_live(config: RunConfig, console: Console, *, with_dashboard: bool = False) -> RunOutcome:
    """Image and analyse until the end, Ctrl-C or an error; says how it went.

    Raises
    ------
    ConfigError, ModelError
        If nothing could be started.
    NoWindowError
        If a dashboard is wanted and no window can be opened here.
    """
    bar = RunBar(console, "demo" if config.microscope.camera == "demo" else "live")
    if with_dashboard:
        check_watchable(config)
    on_status = DashboardLauncher(bar.update).update if with_dashboard else bar.update
    supervisor = Supervisor(config, on_status=on_status)
    with bar:
        outcome = supervisor.run()
    report(console, outcome.folder, outcome.info, outcome.problem)
    return outcome
