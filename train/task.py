"""What is learned: losses, optimizer, schedule and moving average, as a LightningModule."""

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from model.freeze import train_unfrozen
from model.network import Network
from train.batch import Batch
from train.fit_config import FitConfig
from train.losses import UncertaintyWeighting, calcium_loss, localization_loss

LOG_EVERY = 50  # steps
# A log-likelihood may be negative; then a learned variance would shrink for ever.
MAX_LOG_VARIANCE = 4.0


class NotFiniteError(Exception):
    """A pixel, loss or gradient is not a finite number; holds the batch it happened with."""

    def __init__(self, what: str, step: int, batch: Batch) -> None:
        super().__init__(what)
        self.what, self.step, self.batch = what, step, batch


class Task(pl.LightningModule):
    """A network, the moving average of its weights, and how they learn.

    Attributes
    ----------
    network
        What is trained; float32, weights in channels-last order. What is frozen has no gradients.
    averaged
        Holds the moving average, which is what is validated and kept.
    latest
        What the last logged step had to tell, by name.
    """

    def __init__(self, network: Network, config: FitConfig) -> None:
        super().__init__()
        self.config = config
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        decoders = network.decoders()
        self._learns_localization = any(
            p.requires_grad for m in decoders["encoder"] + decoders["localization"] for p in m.parameters()
        )
        decay = config.training.ema_decay

        def average(averaged: Sequence[Tensor], current: Sequence[Tensor], n: Tensor | int) -> None:
            # Early on the mean of what there is, as the bias correction of Adam.
            weight = 1 - min(decay, (1 + int(n)) / (10 + int(n)))
            for old, new in zip(averaged, current, strict=True):
                if old.is_floating_point():
                    old.lerp_(new, weight)
                else:
                    old.copy_(new)

        self.averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        self.averaged.requires_grad_(False).eval()
        self.weighting: UncertaintyWeighting | None = None
        if config.loss.use_uncertainty_weighting and network.has_calcium and self._learns_localization:
            self.weighting = UncertaintyWeighting(self._task_weights())
        self.latest: dict[str, float] = {}

    @property
    def best_network(self) -> Network:
        """The network with the averaged weights."""
        network = self.averaged.module
        assert isinstance(network, Network)
        return network

    def configure_optimizers(self) -> Any:
        """AdamW; linear warm-up, then a cosine down to a hundredth or a constant rate."""
        training = self.config.training
        groups: list[dict[str, Any]] = [{"params": self.trained()}]
        if self.weighting:
            groups.append({"params": list(self.weighting.parameters()), "weight_decay": 0.0})
        optimizer = torch.optim.AdamW(
            groups,
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )

        def factor(step: int) -> float:
            if step < training.warmup:
                return (step + 1) / training.warmup
            if training.scheduler == "constant":
                return 1.0
            done = (step - training.warmup) / max(training.num_iterations - training.warmup, 1)
            return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set which layers follow the batch's statistics: none that is frozen, none at the end."""
        training = self.config.training
        train_unfrozen(self.network)
        if self.global_step >= training.num_iterations * (1 - training.frozen_batchnorm_fraction):
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch, weighted."""
        if not bool(batch.frames.sum().isfinite()):
            raise NotFiniteError("a pixel", self.global_step, batch)
        if self._learns_localization:
            maps, calcium = self.network(batch.frames, batch.present)
        else:
            maps, calcium = None, self.network.log_odds(batch.frames, batch.present)
        with torch.autocast(self.device.type, enabled=False):
            leading = self.global_step < self.config.loss.detection_iterations
            tasks, terms = self.task_losses(maps, calcium, batch, leading=leading)
            loss = self.weighting(tasks) if self.weighting else self.fixed_sum(tasks)
        if not bool(loss.isfinite()):
            names = ", ".join(name for name, value in terms.items() if not bool(value.isfinite()))
            raise NotFiniteError(f"the loss ({names})", self.global_step, batch)
        self._batch = batch  # kept for a failure of its gradient
        if self.global_step % LOG_EVERY == 0:
            self.latest = {f"train/{name}": float(value.detach()) for name, value in terms.items()}
            self.latest |= self._task_gradients(tasks)
            self.latest["train/loss"] = float(loss.detach())
        return loss

    def task_losses(
        self, maps: Tensor | None, calcium: Tensor | None, batch: Batch, *, leading: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Loss of each task that learns, and all their terms un-weighted by name.

        `leading` adds the cross entropy of the emitters' pixels.
        """
        weights = self.config.loss
        tasks: dict[str, Tensor] = {}
        terms: dict[str, Tensor] = {}
        if maps is not None and self._learns_localization:
            factors = {
                "count": weights.detection_weight,
                "position": weights.offset_weight,
                "background": weights.background_weight,
                "sigma": weights.sigma_weight,
                "detection": weights.pixel_weight * leading,
            }
            terms = localization_loss(maps, batch, weights.photon_weight)
            tasks["localization"] = torch.stack([factors[k] * terms[k] for k in terms if factors[k]]).sum()
        if calcium is not None:
            terms["calcium"] = calcium_loss(calcium.float(), batch, weights.calcium)
            tasks["calcium"] = terms["calcium"]
        return tasks, terms

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradient; stop if it is not finite."""
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.config.training.gradient_clip)
        if not bool(norm.isfinite()):
            raise NotFiniteError("the gradient", self.global_step, self._batch)
        if self.global_step % LOG_EVERY == 0:
            self.latest["train/grad_norm"] = float(norm)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Step, and move the average on (here, because a checkpoint may be written right after)."""
        super().optimizer_step(*arguments, **options)
        if self.weighting:
            for s in self.weighting.log_variance.values():
                s.data.clamp_(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)
        self.averaged.update_parameters(self.network)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Copy only what is not there already."""
        return batch if batch.frames.device == device else batch.to(device)

    def _task_weights(self) -> dict[str, float]:
        weights = self.config.loss
        return {"localization": weights.localization_weight, "calcium": weights.calcium_weight}

    def fixed_sum(self, tasks: dict[str, Tensor]) -> Tensor:
        """Task losses added up with the configured weights."""
        weights = self._task_weights()
        return torch.stack([weights[name] * loss for name, loss in tasks.items()]).sum()

    def _task_gradients(self, tasks: dict[str, Tensor]) -> dict[str, float]:
        """Norm of each task's own gradient, and its learned log variance."""
        norms = {}
        for name, loss in tasks.items():
            gradients = torch.autograd.grad(loss, self.trained(), retain_graph=True, allow_unused=True)
            total = torch.stack([g.norm() for g in gradients if g is not None]).norm()
            norms[f"train/grad_norm_{name}"] = float(total)
            if self.weighting:
                norms[f"train/log_variance_{name}"] = float(self.weighting.log_variance[name].detach())
        return norms

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the network that learn."""
        return [p for p in self.network.parameters() if p.requires_grad]
