"""How good the averaged network is on fixed scenes that it never learned from."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.decode import decode
from model.heads import maps_of_cells
from model.localizations import Localizations
from model.matching import match_localizations
from model.network import Network
from train.batch import Batch
from train.fit_config import FitConfig, ValidationConfig
from train.simulator import Simulator
from train.task import Task

CROPS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Figures:
    """Loss, detection, error per axis, and of calcium at the true puncta (NaN without calcium)."""

    loss: float
    precision: float
    recall: float
    jaccard: float
    rmse_px: float
    calcium_f1: float

    def as_dict(self) -> dict[str, float]:
        """Figures by name; without those that are not defined."""
        return {name: value for name, value in asdict(self).items() if np.isfinite(value)}

    def merit(self) -> tuple[float, float]:
        """What the best network is chosen by: Jaccard, averaged with calcium's F1 where there is one.

        Of equals, the one with the smaller loss.
        """
        scores = [score for score in (self.jaccard, self.calcium_f1) if np.isfinite(score)]
        return (sum(scores) / max(len(scores), 1), -self.loss)

    def __str__(self) -> str:
        text = (
            f"loss {self.loss:.3f}, Jaccard {self.jaccard:.3f} (precision {self.precision:.3f}, "
            f"recall {self.recall:.3f}), RMSE {self.rmse_px:.3f} px per axis"
        )
        return f"{text}, calcium F1 {self.calcium_f1:.3f}" if np.isfinite(self.calcium_f1) else text


@dataclass(frozen=True, slots=True)
class Answers:
    """Raw answers in cells and log-odds of calcium of each batch, and the mean loss."""

    by_batch: list[tuple[Tensor, Tensor | None]]
    loss: float


class Validator:
    """Fixed batches and the judgement of a network on them.

    Parameters
    ----------
    batches
        What is judged on.
    config
        Detection threshold, and largest distance of a found from a true position.
    """

    def __init__(self, batches: tuple[Batch, ...], config: ValidationConfig) -> None:
        self.batches = batches
        self._threshold, self._radius_px = config.threshold, config.radius_px

    def judge(self, task: Task) -> tuple[Figures, list[Localizations]]:
        """Figures over all batches, and what was found in the crops of the first."""
        return self.figures(self.answers(task), self._threshold)

    def answers(self, task: Task) -> Answers:
        """What the averaged network says of all batches."""
        network = task.best_network.eval()
        answers = [_answer(network, batch, task) for batch in self.batches]
        tasks = [
            task.task_losses(maps_of_cells(cells), log_odds, batch, leading=False)[0]
            for (cells, log_odds), batch in zip(answers, self.batches, strict=True)
        ]
        return Answers(answers, float(np.mean([float(task.fixed_sum(losses)) for losses in tasks])))

    def figures(self, answers: Answers, threshold: float) -> tuple[Figures, list[Localizations]]:
        """Figures at a detection threshold, and what was found in the crops of the first batch."""
        errors, calcium = [], np.zeros(3, np.int64)
        n_true = n_found = 0
        first: list[Localizations] = []
        for (cells, log_odds), batch in zip(answers.by_batch, self.batches, strict=True):
            found = [
                decode(crop, None if log_odds is None else log_odds[i, 0], threshold)
                for i, crop in enumerate(cells)
            ]
            first = first or found
            for i, localizations in enumerate(found):
                xy = np.stack([localizations.x_px, localizations.y_px], 1)
                truth = true_positions(batch, i)
                pairs = match_localizations(truth, xy, self._radius_px)
                errors.append(xy[pairs[1]] - truth[pairs[0]])
                n_true, n_found = n_true + len(truth), n_found + len(xy)
            if log_odds is not None:
                calcium += _count_calcium(log_odds, batch)
        error = np.concatenate(errors)
        matched = len(error)
        true_positive, false_positive, false_negative = (int(n) for n in calcium)
        figures = Figures(
            loss=answers.loss,
            precision=_ratio(matched, n_found),
            recall=_ratio(matched, n_true),
            jaccard=_ratio(matched, n_true + n_found - matched),
            rmse_px=float(np.sqrt(np.mean(error**2))) if matched else float("nan"),
            calcium_f1=_ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative)
            if calcium.any()
            else float("nan"),
        )
        return figures, first


def validation_batches(config: FitConfig) -> tuple[Batch, ...]:
    """Simulate the validation scenes, on the CPU."""
    validation = config.validation
    simulator = Simulator(
        config.simulation, validation.seed, crop_px=validation.crop_px, window=config.model.n_frames
    )
    starts = range(0, validation.num_samples, CROPS_AT_ONCE)
    return tuple(
        simulator.batch(k, min(CROPS_AT_ONCE, validation.num_samples - start))
        for k, start in enumerate(starts)
    )


def true_positions(batch: Batch, i: int) -> NDArray[np.float32]:
    """Positions (N, 2) of the emitters in crop `i`, pixels."""
    xy: NDArray[np.float32] = batch.xy[i][batch.is_emitter[i]].cpu().numpy()
    return xy


@torch.no_grad()
def _answer(network: Network, batch: Batch, task: Task) -> tuple[Tensor, Tensor | None]:
    """Raw answers and log-odds on the CPU, float32, computed as in training."""
    bf16 = task.config.training.precision == "bf16"
    with torch.autocast(task.device.type, torch.bfloat16, enabled=bf16):
        cells, calcium = network.raw(batch.frames.to(task.device), batch.present.to(task.device))
    return cells.float().cpu(), None if calcium is None else calcium.float().cpu()


def _count_calcium(log_odds: Tensor, batch: Batch) -> NDArray[np.int64]:
    """True positives, false positives and false negatives at the true puncta whose label counts."""
    assert batch.calcium_label is not None and batch.calcium_weight is not None
    column, row = batch.xy.round().long().unbind(-1)
    height, width = log_odds.shape[-2:]
    pixel = (torch.arange(len(row))[:, None], row.clamp(0, height - 1), column.clamp(0, width - 1))
    counts = (batch.calcium_weight[pixel] > 0) & batch.is_emitter
    said, true = log_odds[:, 0][pixel] > 0, batch.calcium_label[pixel] > 0
    return np.array([int((counts & a & b).sum()) for a, b in ((said, true), (said, ~true), (~said, true))])


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
