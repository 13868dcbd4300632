"""Steps on an NVIDIA GPU: what every library that computes there shares."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.engines.base import ModelError
from model.engines.session import Crowding, Table, puncta
from model.graph_io import ANSWER, BASELINE, FRAME, ROOM, Arrays, Opening

RETURNED = ("table", "needed")  # what is copied to the host
N_SLOTS = 2  # steps that may be under way: one is copied while the other computes

Tensors = dict[str, Tensor]
Enqueue = Callable[[], None]
"""Puts a step on the current CUDA stream; what it reads and writes was fixed when it was made."""
MakeEnqueue = Callable[[Tensors, Tensors], Enqueue]
"""From the inputs and outputs of a slot, by name, on the device, to what runs a step."""


def require_gpu() -> torch.device:
    """The GPU that is used.

    Raises
    ------
    ModelError
        If there is none.
    """
    if not torch.cuda.is_available():
        raise ModelError("there is no NVIDIA GPU that PyTorch can use")
    return torch.device("cuda", torch.cuda.current_device())


def on_device(opening: Opening, device: torch.device) -> list[tuple[Tensors, Tensors]]:
    """Inputs and outputs of each slot: constants are shared, a slot's next state is the other's state."""
    fixed = opening.constants | {ROOM: opening.first_inputs()[ROOM]}
    constants = {name: torch.from_numpy(array).to(device) for name, array in fixed.items()}
    states = [
        {name: torch.from_numpy(array).to(device) for name, array in opening.first_states().items()}
        for _ in range(N_SLOTS)
    ]
    slots = []
    for k in range(N_SLOTS):
        first, room = opening.first_inputs(), opening.first_outputs()
        fresh = {name: torch.from_numpy(first[name]).to(device) for name in FRAME}
        answers = {name: torch.from_numpy(room[name]).to(device) for name in ANSWER}
        following = {f"next_{name}": tensor for name, tensor in states[(k + 1) % N_SLOTS].items()}
        slots.append((fresh | constants | states[k], answers | following))
    return slots


class DeviceSession:
    """Two steps under way: counts of one are uploaded while the other computes. States stay on the device.

    Parameters
    ----------
    opening
        What is opened.
    make
        Makes what runs a step of one slot.
    description
        Library, its version, device and precision.
    """

    max_under_way = N_SLOTS

    def __init__(self, opening: Opening, make: MakeEnqueue, description: str) -> None:
        device = require_gpu()
        self.description = description
        self._upload, self._compute = _stream(device), _stream(device)
        self._slots = on_device(opening, device)
        self._states = opening.states
        self._pinned_in = [{n: _pinned(inputs[n]) for n in FRAME} for inputs, _ in self._slots]
        self._pinned_out = [{n: _pinned(outputs[n]) for n in RETURNED} for _, outputs in self._slots]
        self._crowding, self._room = Crowding(), len(self._slots[0][0][ROOM])
        self._uploaded = [_event() for _ in self._slots]
        self._done = [_event() for _ in self._slots]
        self._n_submitted = self._n_collected = 0
        torch.cuda.synchronize(device)
        with torch.cuda.stream(self._compute):
            self._enqueue = [make(inputs, outputs) for inputs, outputs in self._slots]
        # Making them may have run a step or two.
        for inputs, _ in self._slots:
            for name in self._states:
                inputs[name].zero_()
        torch.cuda.synchronize(device)

    def submit(self, counts: NDArray[np.uint8], present: bool, threshold: float) -> None:
        """Copy a frame to the device and begin its step there; returns at once."""
        k = self._n_submitted % N_SLOTS
        pinned, (inputs, outputs) = self._pinned_in[k], self._slots[k]
        pinned["counts"].numpy()[...] = counts
        pinned["present"][0], pinned["threshold"][0] = present, threshold
        with torch.cuda.stream(self._upload):
            for name in FRAME:
                inputs[name].copy_(pinned[name], non_blocking=True)
            self._uploaded[k].record(self._upload)
        with torch.cuda.stream(self._compute):
            self._compute.wait_event(self._uploaded[k])
            self._enqueue[k]()
            for name in RETURNED:
                self._pinned_out[k][name].copy_(outputs[name], non_blocking=True)
            self._done[k].record(self._compute)
        self._n_submitted += 1

    def collect(self) -> Table:
        """Wait for the oldest step."""
        k = self._n_collected % N_SLOTS
        self._done[k].synchronize()
        self._n_collected += 1
        found = self._pinned_out[k]
        self._crowding.check(int(found["needed"]), self._room)
        return puncta(found["table"].numpy())

    def use(self, constants: Arrays) -> None:
        """Take other constants, which the slots share."""
        inputs, _ = self._slots[0]
        with torch.cuda.stream(self._compute):
            for name, array in constants.items():
                inputs[name].copy_(torch.from_numpy(array))

    def restart(self, keep_baseline: bool) -> None:
        """Forget the earlier frames."""
        inputs, _ = self._slots[self._n_submitted % N_SLOTS]
        with torch.cuda.stream(self._compute):
            for name in self._states:
                if not (keep_baseline and name in BASELINE):
                    inputs[name].zero_()


def _pinned(like: Tensor) -> Tensor:
    return torch.empty(like.shape, dtype=like.dtype, pin_memory=True)


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event()  # type: ignore[no-untyped-call]
