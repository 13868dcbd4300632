"""Folding batch normalization into the convolutions before it, for a network that only answers."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batchnorm(network: nn.Module) -> None:
    """Replace every convolution that a batch normalization follows by one convolution, in place.

    The network must be in evaluation mode. Its answers stay the same but for rounding, and the names of the
    convolutions' weights stay as they are.
    """
    for module in network.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for k in range(len(module) - 1):
            convolution, normalization = module[k], module[k + 1]
            if isinstance(convolution, _ConvNd) and isinstance(normalization, _BatchNorm):
                module[k] = fuse_conv_bn_eval(convolution, normalization)
                module[k + 1] = nn.Identity()
