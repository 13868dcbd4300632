"""The training data: an endless series of simulated batches, number k always the same."""

from collections.abc import Iterator
from itertools import count, repeat

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from train.batch import Batch
from train.fit_config import FitConfig
from train.simulator import Simulator


class Scenes(IterableDataset[Batch]):
    """Batches from a step on; devices take turns, and so do worker processes.

    Parameters
    ----------
    config
        Says what is simulated, and how the curriculum changes it.
    first_step
        Optimizer step to begin with.
    rank, n_ranks
        This device's number and their number.
    device
        Where batches are made.
    """

    def __init__(
        self,
        config: FitConfig,
        first_step: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self._config = config
        self._first_step = first_step
        self._rank, self._n_ranks = rank, n_ranks
        self._simulator = Simulator(
            config.simulation,
            config.training.seed,
            crop_px=config.data.crop_px,
            window=config.model.n_frames,
            device=device,
        )

    def __iter__(self) -> Iterator[Batch]:
        """Batches of this process, in order."""
        worker = get_worker_info()
        start, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        return map(self.batch, count(self._first_step + start, stride))

    def batch(self, step: int) -> Batch:
        """The batch that this device learns from in a step."""
        scenes = self._config.simulation
        stage = next((s for s in self._config.curriculum if step < s.until_iteration), None)
        number = step * self._n_ranks + self._rank
        return self._simulator.batch(
            number, self._config.data.batch_size, stage.ease(scenes) if stage else scenes
        )


class SceneData(pl.LightningDataModule):
    """Serves the series to Lightning, from the step where the training stands."""

    def __init__(self, config: FitConfig) -> None:
        super().__init__()
        self._config = config

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches for this device; worker processes simulate ahead, in the same order."""
        trainer = self.trainer
        assert trainer is not None
        num_workers = self._config.data.num_workers
        device = torch.device("cpu") if num_workers else trainer.strategy.root_device
        scenes = Scenes(self._config, trainer.global_step, trainer.global_rank, trainer.world_size, device)
        return DataLoader(scenes, batch_size=None, num_workers=num_workers)


class OneBatch(pl.LightningDataModule):
    """The same batch for ever, to be learned by heart."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._batch = batch

    def train_dataloader(self) -> Iterator[Batch]:
        """Repeat the batch."""
        return repeat(self._batch)
