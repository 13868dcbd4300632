"""One YAML describes a training; every section is validated here before anything starts."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from train.ranges import Fraction, NotNegative, Positive, Range
from train.training_scenes import TrainingScenes

Count = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """Base of all sections: unknown keys are refused, values never change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class ModelConfig(Section):
    """The network, and what it starts from."""

    kind: Literal["streaming", "unet3d"] = Field("streaming", description="streaming or unet3d")
    size: Literal["tiny", "small", "medium", "base"] = Field(
        "small", description="width of a streaming network"
    )
    in_channels: Literal[1, 2] = Field(1, description="1: PIEZO1 only; 2: PIEZO1 and calcium")
    base_channels: Count = Field(16, description="channels of a unet3d at full resolution")
    window: Annotated[int, Field(ge=1)] | None = Field(
        None, description="frames seen, odd; null: 3 for streaming, 5 for unet3d"
    )
    pretrained_encoder: Path | None = Field(
        None, description="checkpoint whose encoder.* weights the encoder starts from"
    )
    pretrained_localization: Path | None = Field(
        None, description="checkpoint whose encoder and localization decoder the network starts from"
    )
    freeze_encoder: bool = Field(False, description="true: the encoder is not trained")
    freeze_localization: bool = Field(False, description="true: the localization decoder is not trained")

    @property
    def n_frames(self) -> int:
        """Frames in a window."""
        return self.window or (3 if self.kind == "streaming" else 5)

    @model_validator(mode="after")
    def _window_has_a_middle(self) -> Self:
        if self.n_frames % 2 == 0:
            raise ValueError(f"window is {self.window}; the frames seen must be an odd number")
        if self.freeze_encoder and self.freeze_localization and self.in_channels == 1:
            raise ValueError(
                "freeze_encoder and freeze_localization leave nothing to train without a calcium channel"
            )
        return self


class DataConfig(Section):
    """Batches of simulated crops."""

    batch_size: Count = Field(32, description="crops in a batch of one device")
    crop_px: Annotated[int, Field(ge=16, multiple_of=16)] = Field(
        48, description="side of the training crops in pixels, a multiple of 16"
    )
    num_workers: Annotated[int, Field(ge=0)] = Field(
        0, description="processes that simulate; 0: the training process does, on its device"
    )


class TrainingConfig(Section):
    """How long, how fast, how often."""

    num_iterations: Count = Field(20_000, description="optimizer steps in all")
    learning_rate: Positive = Field(1e-3, description="highest learning rate of AdamW")
    weight_decay: NotNegative = Field(0.01, description="weight decay of AdamW")
    scheduler: Literal["cosine", "constant"] = Field("cosine", description="learning rate after the warm-up")
    warmup: Annotated[int, Field(ge=0)] = Field(200, description="steps over which the learning rate rises")
    val_frequency: Count = Field(500, description="steps between validations")
    save_frequency: Count = Field(500, description="steps between checkpoints to resume from")
    precision: Literal["32", "bf16"] = Field("bf16", description="32 or bf16 (mixed)")
    gradient_clip: Positive = Field(1.0, description="largest norm of the gradient")
    frozen_batchnorm_fraction: Fraction = Field(
        0.2, description="last part of the training, with the statistics of BatchNorm frozen, 0 to 1"
    )
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.998, description="decay of the moving average of the weights, which is what is kept; 0: none"
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = Field(0, description="seed of weights and scenes")
    strategy: str = Field("auto", description="strategy of Lightning, e.g. ddp")
    devices: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        1, description="number of devices on each node, or auto"
    )
    num_nodes: Count = Field(1, description="number of machines")


class Stage(Section):
    """Easier scenes in the beginning (curriculum): ranges that hold until an iteration."""

    until_iteration: Count = Field(description="first step of the next stage")
    puncta_per_um2: Range | None = Field(None, description="density, lowest and highest; null: as later")
    photons: Range | None = Field(None, description="photons of a punctum a frame; null: as later")

    def ease(self, scenes: TrainingScenes) -> TrainingScenes:
        """Scenes with this stage's ranges in place of their own."""
        return scenes.model_copy(
            update=self.model_dump(include={"puncta_per_um2", "photons"}, exclude_none=True)
        )


class LossConfig(Section):
    """Weights of the terms."""

    detection_weight: NotNegative = Field(1.0, description="weight of the number of emitters in a crop")
    offset_weight: NotNegative = Field(1.0, description="weight of position and photons of the emitters")
    photon_weight: NotNegative = Field(
        1.0, description="weight of the photons within the likelihood of an emitter; 1: the likelihood itself"
    )
    background_weight: NotNegative = Field(1.0, description="weight of the background")
    sigma_weight: NotNegative = Field(0.1, description="weight of the width of the PSF")
    pixel_weight: NotNegative = Field(
        100.0, description="weight of the cross entropy of the emitters' pixels, which leads the first steps"
    )
    detection_iterations: Annotated[int, Field(ge=0)] = Field(
        1000, description="steps with that cross entropy"
    )
    calcium: Literal["focal", "cross_entropy"] = Field("focal", description="focal or cross_entropy")
    calcium_weight: Positive = Field(1.0, description="weight of calcium")
    localization_weight: Positive = Field(1.0, description="weight of localization")
    use_uncertainty_weighting: bool = Field(
        False, description="true: the weights of the two tasks are learned (Kendall), these are the start"
    )


class ValidationConfig(Section):
    """Fixed scenes of another seed, judged by the decoded localizations."""

    num_samples: Count = Field(64, description="simulated crops")
    crop_px: Annotated[int, Field(ge=32, multiple_of=16)] = Field(
        128, description="side of these crops in pixels, a multiple of 16"
    )
    seed: Annotated[int, Field(ge=0)] = Field(1_000_000, description="seed of these scenes")
    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.5, description="detection threshold")
    radius_px: Positive = Field(
        2.3, description="largest distance of a found from a true position, pixels (2.3 of 110 nm: 250 nm)"
    )


class FitConfig(Section):
    """Everything that describes a training."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    simulation: TrainingScenes = TrainingScenes()
    training: TrainingConfig = TrainingConfig()
    curriculum: tuple[Stage, ...] = Field((), description="stages of easier scenes, in order")
    loss: LossConfig = LossConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ends = [stage.until_iteration for stage in self.curriculum]
        if ends != sorted(set(ends)):
            raise ValueError("the stages of the curriculum must end at rising until_iteration")
        if self.model.in_channels == 2 and self.simulation.calcium is None:
            raise ValueError("model.in_channels is 2, so simulation.calcium is needed: {} takes its defaults")
        if self.model.in_channels == 1 and self.simulation.calcium is not None:
            raise ValueError("model.in_channels is 1, so simulation.calcium would be wasted: leave it out")
        learns_localization = not (self.model.freeze_encoder and self.model.freeze_localization)
        loss = self.loss
        lasting = (loss.detection_weight, loss.offset_weight, loss.background_weight, loss.sigma_weight)
        if learns_localization and not any(lasting):
            raise ValueError(
                "loss.detection_weight, offset_weight, background_weight and sigma_weight are all 0, so "
                "there is nothing to learn (pixel_weight counts in the first steps only): raise one of them"
            )
        if self.validation.seed == self.training.seed:
            raise ValueError("validation.seed must differ from training.seed: else it judges what it learned")
        return self
