"""Content of the card of training ranges: frames as networks see them, and the truth of many samples."""

import math

import numpy as np
import torch
from torch import Tensor

from train.calcium_channel import CalciumChannel
from train.card_data import (
    AMPLITUDE,
    BACKGROUND,
    DARK,
    DENSITY,
    DURATION,
    N_EXAMPLES,
    PHOTONS,
    SIGMA,
    SNR,
    STEP,
    Array,
    CardData,
    Example,
    peak_snr,
    steps_and_gaps,
)
from train.light import background_light, puncta_light
from train.population import Population
from train.random import Random
from train.scene import Scene
from train.simulator import inside
from train.training_scenes import TrainingScenes

SIZE = (64, 64)
N_SAMPLES, N_FRAMES = 192, 16


def scenes_card(scenes: TrainingScenes, title: str, seed: int = 0) -> CardData:
    """Content of the card of the ranges `scenes`: every example is another draw.

    Lengths are given in nm at the ranges' pixel size; values count every punctum and frame, so dense
    samples weigh more.
    """
    return CardData(
        title=title,
        subtitle=f"{N_SAMPLES} draws from the training ranges; pixel {scenes.pixel_size_nm:g} nm",
        examples=_examples(scenes, Random(seed, 0)),
        values=_values(scenes, Random(seed, 1)),
        pixel_size_nm=scenes.pixel_size_nm,
    )


def _examples(scenes: TrainingScenes, random: Random) -> list[Example]:
    n = N_EXAMPLES
    scene, sensor = scenes.scene(n, SIZE, random), scenes.sensor(n, SIZE, random)
    population = Population(scene, random)
    channel = _channel(scenes, scene, population, random)
    background = background_light(scene, scene.background, random)
    puncta = population.step()
    expected = background + puncta_light(scene, puncta.path_px, puncta.photons)
    piezo1 = sensor.expose(expected, random)
    shines = (puncta.photons > 0) & inside(puncta.xy, SIZE)
    if channel is None:
        calcium, is_on = [None] * n, torch.zeros_like(shines)
    else:
        frame = channel.step(puncta, expected)
        calcium = [*scenes.sensor(n, SIZE, random).expose(frame.expected, random).numpy()]
        is_on = frame.is_on
    return [
        Example(piezo1[i].numpy(), calcium[i], _array(puncta.xy[i, lit]), is_on[i, lit].numpy())
        for i, lit in enumerate(shines)
    ]


def _values(scenes: TrainingScenes, random: Random) -> dict[str, Array]:
    n, nm = N_SAMPLES, scenes.pixel_size_nm
    scene, sensor = scenes.scene(n, SIZE, random), scenes.sensor(n, SIZE, random)
    background = background_light(scene, scene.background, random)
    population = Population(scene, random)
    channel = _channel(scenes, scene, population, random)
    sigma_px = scene.sigma_px.prod(1).sqrt()
    excess = sensor.excess[:, 0, 0]
    read_variance = (sensor.read_noise_e / sensor.em_gain).square().mean((1, 2))
    rows, densities, events = [], [], []
    for k in range(N_FRAMES):
        puncta = population.step()
        shines = (puncta.photons > 0) & inside(puncta.xy, SIZE)
        densities.append(_array(shines.sum(1)) / (math.prod(SIZE) * (nm / 1000) ** 2))
        sample, slot = shines.nonzero(as_tuple=True)
        xy = puncta.xy[sample, slot]
        x, y = xy.round().long().T
        # Ids are the sample's own; with its number they are unique.
        track = puncta.track_id[sample, slot] * n + sample
        light = (puncta.photons[sample, slot], background[sample, y, x])
        own = (sigma_px[sample], excess[sample], read_variance[sample])
        frame = torch.full_like(sample, k)
        rows.append(np.stack([_array(column) for column in (frame, track, *xy.T * nm, *light, *own)]))
        if channel is not None:
            channel.advance()
            events.append(_peaking(channel, population.is_alive))
    frame_, track_, x_nm, y_nm, photons, level, sigma, excess_, variance = np.concatenate(rows, 1)
    step, dark = steps_and_gaps(track_.astype(np.int64), frame_.astype(np.int64), np.stack([x_nm, y_nm], 1))
    values = {
        DENSITY: np.concatenate(densities),
        PHOTONS: photons,
        BACKGROUND: level,
        SIGMA: sigma * nm,
        SNR: peak_snr(photons, level, sigma, excess_, variance),
        STEP: step,
        DARK: dark,
    }
    if events:
        values[AMPLITUDE], values[DURATION] = np.concatenate(events, 1)
    return values


def _channel(
    scenes: TrainingScenes, scene: Scene, population: Population, random: Random
) -> CalciumChannel | None:
    """The calcium channel, if the ranges have one, in the midst of its events."""
    if scenes.calcium is None:
        return None
    channel = CalciumChannel(scene, scenes.calcium.draw(scene, random), population, random)
    channel.activity.begin_anywhere()
    channel.waves.begin_anywhere()
    return channel


def _peaking(channel: CalciumChannel, is_alive: Tensor) -> Array:
    """Peak ΔF/F0 and duration in frames (2, n) of the puncta's events that peak now."""
    n = is_alive.shape[1]
    peaks = channel.activity.peaks[:, :n] & is_alive
    both = (channel.activity.peak[:, :n][peaks], channel.activity.last_age[:, :n][peaks])
    return np.stack([_array(column) for column in both])


def _array(values: Tensor) -> Array:
    return values.numpy().astype(np.float64)
