"""Movies of the calcium channel with every transient in it, at puncta or not, and where waves pass."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from train.calcium_channel import CalciumChannel
from train.light import background_light, puncta_light
from train.movie_scene import calcium_of, cameras_of, scene_of
from train.population import MARGIN_PX, Population
from train.random import Random
from train.simulation_config import SimulationConfig


@dataclass(frozen=True, slots=True)
class TrueTransients:
    """What begins in one frame, M events at puncta and sparks alike, in the image or up to 8 px outside.

    Attributes
    ----------
    xy
        Where, in pixels (M, 2).
    dff, tau, sigma_px
        Peak ΔF/F0 at the centre, decay time in frames, σ of the cloud in pixels, each (M,).
    """

    xy: NDArray[np.float64]
    dff: NDArray[np.float64]
    tau: NDArray[np.float64]
    sigma_px: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FieldFrameTruth:
    """A frame of the calcium channel.

    Attributes
    ----------
    photons
        The image in photo-electrons, float32 (H, W).
    begins
        The transients that begin in it.
    puncta_xy, wave_dff
        The living puncta in the image, bright or dark, in pixels (N, 2), and ΔF/F0 of a wave there (N,).
    """

    photons: NDArray[np.float32]
    begins: TrueTransients
    puncta_xy: NDArray[np.float64]
    wave_dff: NDArray[np.float64]


def field_movie(config: SimulationConfig, seed: int) -> Iterator[FieldFrameTruth]:
    """Simulate a movie as `train.simulate.light_of` does, and keep what only the simulator knows."""
    sample, exposure, indicator = (Random(seed, child) for child in range(3))
    cameras, camera = cameras_of(config, exposure), config.camera_model()
    scene = scene_of(config)
    background = background_light(scene, scene.background, sample)
    population = Population(scene, sample)
    channel = CalciumChannel(scene, calcium_of(config), population, indicator)
    height, width = config.image_size
    for _ in range(config.n_frames):
        puncta = population.step()
        piezo1 = background + puncta_light(scene, puncta.path_px, puncta.photons)
        light = channel.step(puncta, piezo1)
        counts = cameras.channel(1).expose(light.expected, exposure).numpy()[0].astype(np.uint16)

        activity, n = channel.activity, light.dff.shape[1]
        xy = light.foreign_xy[0].numpy().astype(np.float64)
        begins = (activity.age[0] == 0).numpy()
        begins[n:] &= light.is_foreign[0, n:].numpy()  # where no place was left, there is no spark
        begins &= _inside(xy, height, width, margin=MARGIN_PX)
        shown = puncta.xy[0].numpy().astype(np.float64)
        alive = puncta.is_alive[0].numpy() & _inside(shown, height, width)
        yield FieldFrameTruth(
            photons=camera.to_photons(counts),
            begins=TrueTransients(
                xy[begins],
                *(
                    values[0].numpy()[begins].astype(np.float64)
                    for values in (activity.peak, activity.tau, activity.sigma_px)
                ),
            ),
            puncta_xy=shown[alive],
            wave_dff=light.wave_dff[0].numpy()[alive].astype(np.float64),
        )


def _inside(xy: NDArray[np.float64], height: int, width: int, margin: float = 0.0) -> NDArray[np.bool_]:
    low, high = -0.5 - margin, np.array([width, height]) - 0.5 + margin
    inside: NDArray[np.bool_] = np.all((xy >= low) & (xy < high), axis=1)
    return inside
