"""Several networks that answer as one: the mean of what they say before it is turned into maps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from model.engines.base import ModelError
from model.network import Network


class Ensemble(Network):
    """Mean of the raw answers of networks that differ in nothing but their weights or widths.

    Raw answers are log-odds, offsets and logarithms, of which a mean makes sense (Lakshminarayanan et al.,
    Adv. Neural Inf. Process. Syst. 30 (2017), average probabilities; of log-odds it is the geometric mean).

    Raises
    ------
    ModelError
        If there are fewer than two, or their windows, multiples or channels differ.
    """

    def __init__(self, members: Sequence[Network]) -> None:
        super().__init__()
        if len(members) < 2:
            raise ModelError(f"an ensemble needs at least 2 networks, got {len(members)}")
        first = members[0]
        properties: dict[str, Callable[[Network], int]] = {
            "window": lambda network: network.window,
            "multiple": lambda network: network.multiple,
            "number of channels": lambda network: network.n_channels,
        }
        for name, value in properties.items():
            values = [value(member) for member in members]
            if len(set(values)) > 1:
                said = ", ".join(map(str, values))
                raise ModelError(f"these networks cannot answer as one: their {name} differs ({said})")
        self.members = nn.ModuleList(members)
        self.window, self.multiple, self.has_calcium = first.window, first.multiple, first.has_calcium

    def networks(self) -> list[Network]:
        """The members, as networks."""
        return [member for member in self.members if isinstance(member, Network)]

    def raw(self, frames: Tensor, present: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean of the members' raw answers."""
        cells, calcium = zip(*(member.raw(frames, present) for member in self.networks()), strict=True)
        return _mean(cells), _mean(calcium) if self.has_calcium else None

    def step(self, frame: Tensor, present: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Mean of the members' answers, and the states of all."""
        n_answers = 2 if self.has_calcium else 1
        answers: list[tuple[Tensor, ...]] = []
        kept: list[Tensor] = []
        for member in self.networks():
            n = len(member.state_shapes())
            mine, state = state[:n], state[n:]
            answer = member.step(frame, present, *mine)
            answers.append(answer[:n_answers])
            kept += answer[n_answers:]
        return (*(_mean(said) for said in zip(*answers, strict=True)), *kept)

    def state_shapes(self) -> tuple[tuple[int, int], ...]:
        """States of the members, one after the other."""
        return tuple(shape for member in self.networks() for shape in member.state_shapes())

    def decoders(self) -> dict[str, tuple[nn.Module, ...]]:
        """Modules by task, of all members."""
        parts = [member.decoders() for member in self.networks()]
        return {task: tuple(m for part in parts for m in part[task]) for task in parts[0]}


def _mean(answers: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(answers)).mean(0)
