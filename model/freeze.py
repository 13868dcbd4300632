"""Freezing parts of a network, statistics of batch normalization included."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze(*modules: nn.Module) -> None:
    """Stop learning: no gradients, and batch normalization uses and keeps the statistics it has."""
    for module in modules:
        module.requires_grad_(False)
        module.eval()


def unfreeze(*modules: nn.Module) -> None:
    """Learn (again)."""
    for module in modules:
        module.requires_grad_(True)
        module.train()


def train_unfrozen(network: nn.Module) -> None:
    """`network.train()`, which alone would let frozen batch normalization follow the batches again."""
    network.train()
    for module in network.modules():
        if isinstance(module, _BatchNorm) and not module.weight.requires_grad:
            module.eval()
