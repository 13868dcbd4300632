"""The model card: the JSON beside an exported network that says what it is and what it was trained for."""

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from model.engines.base import ModelError

FORMAT = 3
SHIPPED_MODEL = Path(__file__).with_name("weights") / "small.onnx"
CHANNELS = ("PIEZO1", "calcium")

Probability = Annotated[float, Field(gt=0, lt=1)]
Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainedOptics(_Part):
    """Ranges (low, high) of the scenes that a network was trained on; outside them it is untested."""

    sigma_px: Range = Field(description="σ of the PSF, pixels")
    photons: Range = Field(description="photo-electrons of a punctum in a frame")
    background: Range = Field(description="photo-electrons per pixel")
    puncta_per_um2: Range = Field(description="puncta per µm² at `pixel_size_nm`")
    pixel_size_nm: float = Field(
        gt=0, description="converts the density to pixels, which a network counts in"
    )


class Trained(_Part):
    """What training knows of a network: the part of the card that does not follow from the graph."""

    architecture: dict[str, JsonValue] = Field(description="kind of network and its widths")
    optics: TrainedOptics
    threshold: Probability = Field(description="detection threshold on the probability")
    metrics: dict[str, float] = Field(description="figures on the standard benchmark")
    training: dict[str, JsonValue] = Field(
        description="stages, oldest first: steps, commit and configuration of each, null: not known"
    )
    commit: str | None = Field(
        description="git commit of the code of the last stage, -dirty where it was changed; null: not known"
    )


class ModelCard(Trained):
    """Everything about an exported network; the graph lies beside it under the same name, ending in .onnx.

    `Graph.forward` in `model/graph.py` says what the graph's inputs and outputs hold, `model/graph_io.py` how
    they are called.
    """

    format: Literal[3] = Field(description="version of this card")
    precision: Literal["fp32", "fp16"] = Field(description="of the network and its state")
    channels: tuple[str, ...] = Field(description="what the channels of `counts` hold")
    window: Count = Field(description="frames seen, odd; answers come window // 2 frames later")
    multiple: Count = Field(description="states belong to images padded to multiples of this, pixels")
    state_shapes: tuple[tuple[Count, Count], ...] = Field(description="channels and stride of each state")
    receptive_field_px: Count = Field(description="side of the square that a pixel's answer depends on")
    onnx_sha256: str = Field(description="SHA-256 of the graph's file")

    @property
    def has_calcium(self) -> bool:
        """Whether there is a calcium decoder."""
        return len(self.channels) > 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.channels not in (CHANNELS, CHANNELS[:1]):
            raise ValueError(f"channels must be {', '.join(CHANNELS)}, or {CHANNELS[0]} alone")
        if self.window % 2 == 0:
            raise ValueError("window must be odd")
        return self


def card_path(graph: Path) -> Path:
    """Where the card of a graph lies."""
    return graph.with_suffix(".json")


def half_precision(graph: Path) -> Path:
    """Where the same network in half precision lies, for libraries that take the precision from the graph."""
    return graph.with_name(f"{graph.stem}_fp16{graph.suffix}")


def sha256(graph: bytes) -> str:
    """SHA-256 of a graph in hexadecimal digits."""
    return hashlib.sha256(graph).hexdigest()


def read_model(path: Path) -> tuple[bytes, ModelCard]:
    """Read a graph and its card, and check that they belong together.

    Parameters
    ----------
    path
        The graph, an ONNX file; its card lies beside it.

    Raises
    ------
    ModelError
        If either is missing, cannot be read, is of a newer format, or does not belong to the other.
    """
    graph, text = _read(path), _read(card_path(path))
    card = _parse(text, card_path(path))
    if sha256(graph) != card.onnx_sha256:
        raise ModelError(
            f"{path} is not the file that {card_path(path).name} describes (its SHA-256 differs): "
            "copy both again, or export the network again"
        )
    return graph, card


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(
            f"there is no {path}: a model is an ONNX file and a model card of the same name ending in .json"
        ) from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


class _Versioned(BaseModel):
    format: int


def _parse(text: bytes, path: Path) -> ModelCard:
    try:
        version = _Versioned.model_validate_json(text).format
        if version != FORMAT:
            raise ModelError(
                f"{path} has format {version}, this program reads {FORMAT}: update the program, or export "
                "the network with this version"
            )
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise ModelError(f"{path} is not a model card of this program ({what})") from error
