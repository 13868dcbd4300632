"""The calcium channel of many samples: open puncta, distractors and resting light, frame by frame.

It follows the puncta of `train.population` and draws from a generator of its own, so that the PIEZO1
channel is the same with and without it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from train.calcium_activity import Activity
from train.calcium_scene import CalciumScene
from train.distractors import Waves, spark_places, still_light
from train.light import background_light, gaussians
from train.population import Population, Snapshot
from train.random import Random
from train.scene import Scene


@dataclass(frozen=True, slots=True)
class CalciumFrame:
    """The calcium channel during one exposure; rows N are the population's slots.

    Attributes
    ----------
    expected
        Photo-electrons (B, H, W).
    dff
        ΔF/F0 of the punctum's own event (B, N).
    is_on, is_open
        Whether that event is on, until a tenth of its peak; and at or above half of it; (B, N).
    signal
        Photo-electrons that the event adds to its brightest pixel (B, N), with the σ `signal_sigma_px`.
    peaks, onset_ago, end_in, event_dff, event_track, event_xy
        Events by slot, (B, N) and (B, N, 2): whether one peaks now, frames since its onset and until its
        last frame, its ΔF/F0 now, its punctum (−1: no event) and place in the PIEZO1 channel. A punctum
        that bleaches while open keeps its calcium, so it may not be the one that the slot shows now.
    wave_dff
        ΔF/F0 of a wave at the punctum (B, N).
    foreign_xy, is_foreign
        Calcium that is no shown punctum's, (B, M, 2) and (B, M): sparks, and events of bleached puncta.
    """

    expected: Tensor
    dff: Tensor
    is_on: Tensor
    is_open: Tensor
    signal: Tensor
    signal_sigma_px: Tensor
    peaks: Tensor
    onset_ago: Tensor
    end_in: Tensor
    event_dff: Tensor
    event_track: Tensor
    event_xy: Tensor
    wave_dff: Tensor
    foreign_xy: Tensor
    is_foreign: Tensor


class CalciumChannel:
    """Calcium at the puncta of a population, which has not made a step yet; everything is at rest.

    A source of light belongs to a slot of the population, or is a spark's. It stays with its punctum,
    and if that bleaches while open, until it is at rest.

    Attributes
    ----------
    scene, calcium
        The samples.
    activity, waves
        Events of the sources [puncta | sparks], (B, M); and waves.
    """

    def __init__(self, scene: Scene, calcium: CalciumScene, population: Population, random: Random) -> None:
        self.scene, self.calcium, self._random = scene, calcium, random
        self._field = population.field
        is_alive = population.is_alive
        self._n_puncta = is_alive.shape[1]
        self._rest = background_light(scene, calcium.rest, random)
        self._still = still_light(scene, calcium, population.xy, is_alive, random)
        area = (self._field[1] - self._field[0]).prod()
        per_frame = calcium.spark_rate * area
        busy = calcium.mean_busy_frames
        n_sparks = math.ceil(2 * float((busy * per_frame).max()))  # at most half of them are busy
        # Sources that are busy start nothing new, so idle ones start more often.
        chance = per_frame / max(n_sparks, 1)
        spark_rate = (chance / (1 - (busy - 1) * chance)).expand(-1, n_sparks)
        self.activity = Activity(calcium, torch.cat([calcium.rate * is_alive, spark_rate], 1), random)
        self.waves = Waves(calcium, scene.size, random)
        self._track, self._xy = population.track_id, population.xy
        self._spark_xy, self._is_spark = self._place_sparks(self._xy, is_alive, n_sparks)
        on_share = calcium.on_probability / (calcium.on_probability + calcium.off_probability)
        self._is_lit = random.chance(tuple(is_alive.shape), on_share) | ~calcium.tethered
        self._spot = self._new_spots(is_alive)
        self._bleaching = torch.ones_like(calcium.rest)

    def step(self, puncta: Snapshot, piezo1: Tensor) -> CalciumFrame:
        """Advance by a frame, which shows these puncta and `piezo1` expected photo-electrons (B, H, W)."""
        calcium, activity, n = self.calcium, self.activity, self._n_puncta
        self.advance()
        self.waves.step()
        stays = (activity.age[:, :n] > 0) & ~self.scene.unrelated
        is_handed_over = ~stays & (self._track != puncta.track_id)
        self._spot = torch.where(is_handed_over, self._new_spots(puncta.is_alive), self._spot)
        self._track = torch.where(stays, self._track, puncta.track_id)
        is_own = self._track == puncta.track_id
        xy = puncta.path_px.mean(2)
        self._xy = torch.where(is_own, xy, self._xy)
        self._move_sparks(xy, puncta.is_alive)
        blur = torch.where(is_own, puncta.path_px.var(2, correction=0).mean(0), 0.0)
        lamp = self._bleaching * (1 + calcium.lamp_sd * self._random.normal((self.scene.n, 1)))
        waves = self.waves.dff()
        expected = self.image(self._xy, self.height(), activity.sigma_px, blur, waves, lamp)
        expected = expected + calcium.bleed[..., None] * piezo1
        self._bleaching = self._bleaching * torch.exp(-1 / calcium.bleach_life)
        return self._frame(expected, waves, is_own, lamp)

    def advance(self) -> None:
        """Move events and blinking on by a frame."""
        calcium, random = self.calcium, self._random
        self.activity.step()
        toggle = torch.where(self._is_lit, calcium.off_probability, calcium.on_probability) * calcium.tethered
        self._is_lit = self._is_lit ^ random.chance(tuple(toggle.shape), toggle)

    def height(self) -> Tensor:
        """Brightness of the sources (B, M): ΔF/F0 of clouds; of tethered spots, relative to resting ones."""
        dff, n = self.activity.dff, self._n_puncta
        puncta = self._is_lit * (self.calcium.tethered + dff[:, :n])
        return torch.cat([puncta, dff[:, n:] * self._is_spark], 1)

    def image(
        self, xy: Tensor, height: Tensor, cloud_px: Tensor, blur: Tensor, waves: Tensor, lamp: Tensor
    ) -> Tensor:
        """Expected photo-electrons (B, H, W) without bleed-through.

        Parameters
        ----------
        xy
            Positions of the puncta's sources (2, B, N).
        height, cloud_px
            Brightness as from `height`, and σ of the clouds, (B, M).
        blur
            Variance of the puncta's motion per axis, pixels² (B, N).
        waves
            ΔF/F0 of every pixel (B, H, W).
        lamp
            Factor on all light (B, 1).
        """
        calcium = self.calcium
        x, y = torch.cat([xy, self._spark_xy], 2) + calcium.shift_px.T[..., None]
        spot = torch.cat([self._spot, calcium.spot_photons.expand(-1, height.shape[1] - self._n_puncta)], 1)
        light = height * torch.where(calcium.tethered, spot, 2 * math.pi * cloud_px**2)
        variance = torch.where(calcium.tethered, calcium.spot_sigma_px, cloud_px) ** 2
        variance[:, : self._n_puncta] += blur
        sigma = variance.sqrt()
        glow = gaussians(self.scene.size, x, y, light, sigma, sigma)
        tethered = calcium.tethered[..., None]
        image = torch.where(tethered, (self._rest + glow) * (1 + waves), self._rest * (1 + glow + waves))
        return lamp[..., None] * (image + self._still)

    def _frame(self, expected: Tensor, waves: Tensor, is_own: Tensor, lamp: Tensor) -> CalciumFrame:
        calcium, activity, n = self.calcium, self.activity, self._n_puncta
        height, width = self.scene.size
        is_on, dff, age = activity.is_on, activity.dff, activity.age[:, :n]
        column = self._xy[0].round().long().clamp(0, width - 1)
        row = self._xy[1].round().long().clamp(0, height - 1)
        pixel = row * width + column
        rest = self._rest.flatten(1).gather(1, pixel)
        sigma = torch.where(calcium.tethered, calcium.spot_sigma_px, activity.sigma_px[:, :n])
        unit = torch.where(calcium.tethered, self._spot / (2 * math.pi * sigma**2), rest)
        return CalciumFrame(
            expected=expected,
            dff=dff[:, :n] * is_own,
            is_on=is_on[:, :n] & is_own,
            is_open=activity.is_open[:, :n] & is_own,
            signal=dff[:, :n] * is_own * self._is_lit * unit * lamp,
            signal_sigma_px=sigma,
            peaks=activity.peaks[:, :n],
            onset_ago=age.long(),
            end_in=(activity.last_age[:, :n] - age).long(),
            event_dff=dff[:, :n],
            event_track=torch.where(age >= 0, self._track, -1),
            event_xy=self._xy.movedim(0, -1),
            wave_dff=waves.flatten(1).gather(1, pixel),
            foreign_xy=torch.cat([self._xy, self._spark_xy], 2).movedim(0, -1),
            is_foreign=is_on & torch.cat([~is_own, self._is_spark], 1),
        )

    def _move_sparks(self, puncta: Tensor, is_alive: Tensor) -> None:
        """Give the sparks that begin now a place, off the puncta of now."""
        begins = self.activity.age[:, self._n_puncta :] == 0
        if begins.any():
            places, fits = self._place_sparks(puncta, is_alive, begins.shape[1])
            self._spark_xy = torch.where(begins, places, self._spark_xy)
            self._is_spark = torch.where(begins, fits, self._is_spark)

    def _place_sparks(self, puncta: Tensor, is_alive: Tensor, n: int) -> tuple[Tensor, Tensor]:
        beside = self.calcium.sparks_beside
        return spark_places(puncta, is_alive, n, beside, self._field, self._random)

    def _new_spots(self, is_alive: Tensor) -> Tensor:
        """Resting photo-electrons of new tethered spots (B, N), 0 in empty slots."""
        sd = self.calcium.spot_sd_between
        factor = torch.exp(sd * self._random.normal(tuple(is_alive.shape)) - sd**2 / 2)
        return self.calcium.spot_photons * factor * is_alive
