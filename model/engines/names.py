"""Names of the libraries that run a network, for configurations and the command line."""

from typing import Literal

BackendName = Literal["auto", "tensorrt", "torch_cuda", "openvino", "onnxruntime", "torch"]

# In the order in which "auto" tries them. PyTorch on the CPU is a reference, not a choice.
AUTO = ("tensorrt", "torch_cuda", "openvino", "onnxruntime")
REFERENCE = "torch"
GPU_BACKENDS = ("tensorrt", "torch_cuda")
