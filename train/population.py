"""Puncta that diffuse, blink and bleach, many samples at once, frame by frame."""

from dataclasses import dataclass

import torch
from torch import Tensor

from train.random import Random
from train.scene import Scene

SUB_STEPS = 4  # positions within an exposure: motion blur
# Puncta live in a field this much wider than the image on each side, so that they cross its borders.
MARGIN_PX = 8.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The puncta of B samples during one exposure, N slots each; slots may be empty or dark.

    Attributes
    ----------
    path_px
        Positions x, y within the exposure, (2, B, SUB_STEPS, N); their mean is the position.
    photons
        Photo-electrons in this frame (B, N), 0 where dark or empty.
    is_alive
        (B, N), False for empty slots.
    track_id
        (B, N) int64, never used again within a sample; −1 for empty slots.
    step_px
        Standard deviation of the diffusion per axis and frame (B, N); NaN where a punctum is confined or
        directed, so that no diffusion coefficient describes it.
    """

    path_px: Tensor
    photons: Tensor
    is_alive: Tensor
    track_id: Tensor
    step_px: Tensor

    @property
    def xy(self) -> Tensor:
        """Mean positions (B, N, 2)."""
        return self.path_px.mean(2).movedim(0, -1)


class Population:
    """All puncta of a batch of samples; `step` moves them on by a frame.

    A punctum that bleaches is replaced elsewhere, and one that a velocity or the stage carries out of the
    field by another one at the opposite side, so the density stays. Diffusion is reflected at the borders.
    """

    def __init__(self, scene: Scene, random: Random) -> None:
        self._scene = scene
        self._random = random
        height, width = scene.size
        self._low = torch.full((2, 1, 1), -0.5 - MARGIN_PX, device=random.device)
        self._high = torch.tensor([width, height], device=random.device).view(2, 1, 1) - 0.5 + MARGIN_PX
        side = (self._high - self._low).flatten()
        n = random.poisson(scene.density * side.prod())
        slots = torch.arange(max(int(n.max()), 1), device=random.device)  # never an empty axis
        self._is_alive = slots < n
        shape = self._is_alive.shape
        self._track_id = torch.full(shape, -1, device=random.device)
        self._next_id = torch.zeros_like(n, dtype=torch.long)
        self._xy = torch.zeros(2, *shape, device=random.device)
        self._anchor, self._velocity = torch.zeros_like(self._xy), torch.zeros_like(self._xy)
        self._step_px, self._photons = torch.zeros_like(self._xy[0]), torch.zeros_like(self._xy[0])
        self._is_confined = self._is_on = torch.zeros_like(self._is_alive)
        self._bear(self._is_alive)
        self._light(self._is_alive)
        self._is_first = True

    def step(self) -> Snapshot:
        """Advance by one frame and give the puncta during its exposure."""
        scene, random = self._scene, self._random
        shape = self._is_alive.shape
        if self._is_first:
            self._is_first = False
        else:
            bleached = random.chance(shape, -torch.expm1(-1 / scene.mean_life)) | scene.unrelated
            is_new = self._carry_over() | bleached & self._is_alive
            self._bear(bleached & self._is_alive)
            self._light(is_new)
            toggle = torch.where(self._is_on, scene.off_probability, scene.on_probability)
            self._is_on = self._is_on ^ (random.chance(shape, toggle) & ~is_new)
        path = self._move()
        sd = scene.photons_sd_within
        photons = self._photons * torch.exp(sd * random.normal(shape) - sd**2 / 2)
        photons = torch.where(self._is_on & self._is_alive, photons, 0.0)
        is_free = ~self._is_confined & (self._velocity == 0).all(0)
        step_px = torch.where(is_free, self._step_px, torch.nan)
        return Snapshot(path, photons, self._is_alive, self._track_id.clone(), step_px)

    @property
    def field(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest x and y, (2, 1, 1) each."""
        return self._low, self._high

    @property
    def xy(self) -> Tensor:
        """Positions (2, B, N) at the end of the last exposure."""
        return self._xy

    @property
    def is_alive(self) -> Tensor:
        """(B, N), False for empty slots."""
        return self._is_alive

    @property
    def track_id(self) -> Tensor:
        """(B, N) as in `Snapshot`."""
        return self._track_id

    @property
    def mean_photons(self) -> Tensor:
        """Photo-electrons of the puncta per frame, dark frames counted, (B, N)."""
        on, off = self._scene.on_probability, self._scene.off_probability
        return self._photons * self._is_alive * on / (on + off)

    def earlier(self, ago: Tensor, length: Tensor, random: Random) -> tuple[Tensor, Tensor]:
        """Where the puncta were during earlier stretches of time; a random walk may as well run backwards.

        Before a punctum was born, its slot had another one, elsewhere.

        Parameters
        ----------
        ago, length
            Middle of the stretches in frames before now, rising, and their duration, (F,).
        random
            What the past is drawn from; the future stays as it is.

        Returns
        -------
        Mean positions (F, 2, B, N), and variances of the positions within each stretch per axis (F, B, N)
        in pixels².
        """
        scene, shape = self._scene, self._is_alive.shape
        n = len(ago)
        ago, length = ago.view(n, 1, 1), length.view(n, 1, 1)
        between = ago.diff(dim=0, prepend=ago.new_zeros(1, 1, 1))
        walk = (random.normal((n, 2, *shape)) * (self._step_px * between.sqrt())[:, None]).cumsum(0)
        limit = scene.confinement_px
        from_anchor = self._xy - self._anchor + walk
        radius = torch.linalg.vector_norm(from_anchor, dim=1, keepdim=True).clamp(min=1e-6)
        folded = limit - (radius % (2 * limit) - limit).abs()
        walk = torch.where(self._is_confined, self._anchor - self._xy + from_anchor * (folded / radius), walk)
        drift = self._velocity + scene.drift_px.T[..., None]
        here = self._xy + walk - drift * ago[:, None]
        here = torch.where(self._is_carried, self._wrap(here), self._reflect(here))
        variance = self._step_px**2 * length / 6 + self._velocity.square().sum(0) * length**2 / 24
        variance = torch.where(self._is_confined, torch.minimum(variance, limit**2 / 4), variance)
        was_born = torch.where(scene.unrelated, 0.0, -scene.mean_life * torch.log1p(-random.uniform(shape)))
        elsewhere = self._low + (self._high - self._low) * random.uniform((2, *shape))
        positions = torch.where((ago < was_born)[:, None], here, elsewhere)
        return positions, torch.where(scene.unrelated, (self._high - self._low).amax() ** 2 / 12, variance)

    def _bear(self, rows: Tensor) -> None:
        """Give the slots `rows` (B, N) new places anywhere in the field, and new kinds of motion."""
        scene, random = self._scene, self._random
        shape = self._is_alive.shape
        if not rows.any():
            return
        xy = self._low + (self._high - self._low) * random.uniform((2, *shape))
        kind = random.uniform(shape)
        confined = kind < scene.confined
        directed = ~confined & (kind < scene.confined + scene.directed)
        moves = kind < scene.confined + scene.directed + scene.mobile
        angle = random.uniform(shape, 0.0, 2 * torch.pi)
        direction = torch.stack([torch.cos(angle), torch.sin(angle)])
        from_anchor = scene.confinement_px * random.uniform(shape).sqrt()  # anywhere in the disc
        self._xy = torch.where(rows, xy, self._xy)
        self._anchor = torch.where(rows, xy - direction * from_anchor, self._anchor)
        self._velocity = torch.where(rows, direction * (scene.speed_px * directed), self._velocity)
        slow = torch.where(
            directed, scene.slow_step_px, torch.where(moves, scene.step_px, scene.slow_step_px)
        )
        self._step_px = torch.where(rows, slow, self._step_px)
        self._is_confined = torch.where(rows, confined, self._is_confined)

    def _light(self, rows: Tensor) -> None:
        """Put new puncta into the slots `rows` (B, N): their ids, their light, and whether it is on."""
        scene, random = self._scene, self._random
        shape = self._is_alive.shape
        if not rows.any():
            return
        sd = scene.photons_sd_between
        photons = scene.photons * torch.exp(sd * random.normal(shape) - sd**2 / 2)
        on_share = scene.on_probability / (scene.on_probability + scene.off_probability)
        self._photons = torch.where(rows, photons, self._photons)
        self._is_on = torch.where(rows, random.chance(shape, on_share), self._is_on)
        self._track_id = torch.where(rows, self._next_id + rows.long().cumsum(1) - 1, self._track_id)
        self._next_id = self._next_id + rows.sum(1, keepdim=True)

    def _carry_over(self) -> Tensor:
        """Move the slots that were carried out of the field to its opposite side; gives which, (B, N).

        They keep their motion, so as many enter as leave.
        """
        is_outside = ((self._xy < self._low) | (self._xy > self._high)).any(0)
        leaves = is_outside & self._is_carried & self._is_alive
        jump = torch.where(leaves, self._wrap(self._xy) - self._xy, 0.0)
        self._xy, self._anchor = self._xy + jump, self._anchor + jump
        return leaves

    def _move(self) -> Tensor:
        """Paths within the exposure: Brownian motion, in discs where confined, and what carries."""
        shape = self._is_alive.shape
        noise = self._random.normal((2, shape[0], SUB_STEPS, shape[1]))
        step = noise * (self._step_px / SUB_STEPS**0.5)[:, None]
        step = step + ((self._velocity + self._scene.drift_px.T[..., None]) / SUB_STEPS)[:, :, None]
        self._anchor = self._anchor + self._scene.drift_px.T[..., None]
        path = self._xy[:, :, None] + step.cumsum(2)
        if self._is_confined.any():
            from_anchor = path - self._anchor[:, :, None]
            radius = torch.linalg.vector_norm(from_anchor, dim=0).clamp(min=1e-6)
            limit = self._scene.confinement_px[..., None]
            # Reflected at the disc's border, and never past its centre.
            held = torch.where(radius > limit, (2 * limit - radius).clamp(min=0.0), radius)
            inside = self._anchor[:, :, None] + from_anchor * (held / radius)
            path = torch.where(self._is_confined[:, None], inside, path)
        reflected = self._reflect(path.movedim(2, 0)).movedim(0, 2)
        path = torch.where(self._is_carried[:, None], path, reflected)
        self._xy = path[:, :, -1]
        return path

    @property
    def _is_carried(self) -> Tensor:
        """(B, N): has a velocity, or is on a stage that drifts."""
        return ((self._velocity != 0) | (self._scene.drift_px.T[..., None] != 0)).any(0)

    def _reflect(self, xy: Tensor) -> Tensor:
        """Positions (…, 2, B, N) thrown back into the field."""
        low, length = self._low, self._high - self._low
        return low + length - ((xy - low) % (2 * length) - length).abs()

    def _wrap(self, xy: Tensor) -> Tensor:
        """Positions (…, 2, B, N) that left the field, in it again at the opposite side."""
        return self._low + (xy - self._low) % (self._high - self._low)
