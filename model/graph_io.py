"""What goes into an exported graph and what comes out of it: names, sizes and types; known without torch."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.camera import Camera
from model.card import ModelCard
from model.engines.scale import scaled_gain, scaled_read_variance
from model.localizations import COLUMNS
from model.maps import fixed_room, room_for_puncta, state_sizes
from model.registration import places

Array = NDArray[np.generic]
Arrays = dict[str, Array]

FRAME = ("counts", "present", "threshold")
ROOM = "room"
CAMERA = ("offset", "gain", "read_variance", "excess")
ANSWER = ("table", "count", "needed")
BASELINE = ("baseline", "n_frames")  # of the states, what outlives gaps


def input_names(has_calcium: bool, n_states: int) -> list[str]:
    """Names of a graph's inputs, in its order."""
    constants = (*CAMERA, "places") if has_calcium else CAMERA
    return [*FRAME, ROOM, *constants, *state_names(has_calcium, n_states)]


def output_names(has_calcium: bool, n_states: int) -> list[str]:
    """Names of a graph's outputs, in its order."""
    return [*ANSWER, *(f"next_{name}" for name in state_names(has_calcium, n_states))]


def state_names(has_calcium: bool, n_states: int) -> list[str]:
    """Names of what one step hands to the next; the baseline first, which outlives gaps."""
    return [*(BASELINE if has_calcium else ()), *(f"state_{k}" for k in range(n_states))]


@dataclass(frozen=True)
class Opening:
    """A graph and the frames that it is opened for.

    Attributes
    ----------
    graph, card
        What `model.card.read_model` gives.
    height, width
        Of the images in pixels.
    camera
        Camera of both channels.
    transform
        (2, 3): where a pixel of channel 1 lies in channel 2, see `model.registration.places`.
    path
        The graph's file, for libraries that look for the same network in half precision beside it.
    """

    graph: bytes
    card: ModelCard
    height: int
    width: int
    camera: Camera
    transform: NDArray[np.float32]
    path: Path | None = None

    @property
    def n_channels(self) -> int:
        """Channels of `counts`."""
        return len(self.card.channels)

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs in the graph's order."""
        return input_names(self.card.has_calcium, len(self.card.state_shapes))

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs in the graph's order."""
        return output_names(self.card.has_calcium, len(self.card.state_shapes))

    @property
    def states(self) -> list[str]:
        """Names of what one step hands to the next."""
        return state_names(self.card.has_calcium, len(self.card.state_shapes))

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the padded image, pixels."""
        multiple = self.card.multiple
        return -(-self.height // multiple) * multiple, -(-self.width // multiple) * multiple

    def in_precision(self, precision: Literal["fp32", "fp16"]) -> "Opening":
        """The same for a library that takes the weights and chooses their precision itself."""
        return replace(self, card=self.card.model_copy(update={"precision": precision}))

    @cached_property
    def constants(self) -> Arrays:
        """Inputs that stay as they are.

        Raises
        ------
        ModelError
            If a map of the camera does not have the image's shape.
        """
        shape = (self.height, self.width)
        # First, as it looks at all maps.
        variance = scaled_read_variance(self.camera, shape)
        images = {
            "offset": np.asarray(self.camera.offset, np.float32),
            "gain": scaled_gain(self.camera),
            "read_variance": variance,
        }
        size = (self.n_channels, *shape)
        # Copies, because PyTorch warns of read-only arrays.
        arrays: Arrays = {
            name: np.array(np.broadcast_to(image, size), order="C") for name, image in images.items()
        }
        arrays["excess"] = np.array([self.camera.excess], np.float32)
        if self.card.has_calcium:
            arrays["places"] = places(self.transform, self.height, self.width)
        return arrays

    def check_camera(self) -> None:
        """See whether the camera's maps fit.

        Raises
        ------
        ModelError
            If not.
        """
        scaled_read_variance(self.camera, (self.height, self.width))

    def first_inputs(self, room: int | None = None) -> Arrays:
        """Every input, with an image without light and the state before the first frame.

        Parameters
        ----------
        room
            Cells of a stripe that are looked at; None: what suffices where it cannot change.
        """
        present, threshold = np.ones(1, np.float32), np.full(1, self.card.threshold, np.float32)
        return {
            "counts": self.dark(),
            "present": present,
            "threshold": threshold,
            ROOM: np.zeros(self._room(room), np.float32),
            **self.constants,
            **self.first_states(),
        }

    def dark(self) -> NDArray[np.uint8]:
        """Counts of an image without any, as the graph takes them."""
        return np.zeros((self.n_channels, self.height, self.width, 2), np.uint8)

    def first_states(self) -> Arrays:
        """State before the first frame."""
        sizes = state_sizes(self.card.state_shapes, *self.padded)
        precision = np.float16 if self.card.precision == "fp16" else np.float32
        states: Arrays = {f"state_{k}": np.zeros(size, precision) for k, size in enumerate(sizes)}
        if self.card.has_calcium:
            baseline = np.zeros((1, self.height, self.width), np.float32)
            states = {"baseline": baseline, "n_frames": np.zeros(1, np.float32), **states}
        return states

    def first_outputs(self, room: int | None = None) -> Arrays:
        """Memory for every output, with as much room as `first_inputs` gives."""
        n_rows = room_for_puncta(self.padded[0], self._room(room))
        table = np.zeros((n_rows, len(COLUMNS)), np.float32)
        after = {f"next_{name}": array for name, array in self.first_states().items()}
        return {"table": table, "count": np.zeros(1, np.int32), "needed": np.zeros(1, np.int32), **after}

    def _room(self, room: int | None) -> int:
        return fixed_room(self.padded[1]) if room is None else room


def as_bytes(pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Raw counts (C, H, W) as pairs of bytes (C, H, W, 2), the low one first; a view where it can be."""
    counts = np.ascontiguousarray(pixels, "<u2")
    return counts.view(np.uint8).reshape(*counts.shape, 2)
