"""Where channel 1 lies in channel 2: what is known of it, and the YAML that keeps it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError

from acquire.affine_fit import Array, Model
from acquire.frame import SourceError
from acquire.section import NotNegative, Positive, Section

FORMAT = "piezo1 registration 1"
MOST_SAMPLES = 512  # pixels along each side that tell what share of an image is seen
HEADER = """\
# Registration of the two channels, made by `piezo1 register`; channels.registration of a run names this file.
# The pixel (x, y) of channel 1 (PIEZO1) lies at matrix · (x, y, 1) in channel 2 (calcium); the centre of the
# first pixel is (0, 0). The matrix counts, the words repeat it. image_size is height and width in pixels.
"""


class RegistrationError(SourceError):
    """A registration cannot be found, read or used; the message says why, and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """Where the pixels of channel 1 lie in channel 2.

    Attributes
    ----------
    transform
        (2, 3): the pixel (x, y) of channel 1 lies at `transform @ (x, y, 1)` in channel 2; the centre of
        pixel (0, 0) is at (0, 0).
    image_size
        Height and width in pixels.
    model
        Kind of map.
    n_spots, n_outliers
        Spots that agree on it, and neighbours under it that are farther apart than they should be. One that
        rests counts once, however many frames show it.
    residual_px
        Root mean square distance of spots from where the map puts them that is fitted without them; NaN
        where there are too few to leave one out.
    localization_px
        The same if nothing but the uncertainty of both positions were wrong.
    field_error_px
        Standard deviation, in the plane, of the map in the corner of the image where it is known least; NaN
        where that can't be told.
    cautions
        Why it was refused and had to be forced, a sentence each.
    source, made
        Movie, and date and time (ISO 8601), or empty.
    pixel_size_nm
        None where it is not known.
    """

    transform: Array
    image_size: tuple[int, int]
    model: Model
    n_spots: int
    n_outliers: int
    residual_px: float
    localization_px: float
    field_error_px: float
    cautions: tuple[str, ...] = ()
    source: str = ""
    made: str = ""
    pixel_size_nm: float | None = None

    @property
    def _linear(self) -> complex:
        """Turn and scale as one complex number: the similarity in the transform."""
        (a, b, _), (c, d, _) = self.transform.tolist()
        return complex(a + d, c - b) / 2

    @property
    def rotation_degrees(self) -> float:
        """Clockwise, as images are shown with y downwards."""
        return math.degrees(math.atan2(self._linear.imag, self._linear.real))

    @property
    def scale(self) -> float:
        """Of lengths, the mean over all directions."""
        return abs(self._linear)

    @property
    def shift_px(self) -> tuple[float, float]:
        """How the middle of the image is moved, in x and y."""
        height, width = self.image_size
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        x, y = (self.transform @ np.append(middle, 1) - middle).tolist()
        return x, y

    @property
    def unexplained_px(self) -> float:
        """What of the residual is not due to the uncertainty of the positions."""
        return math.sqrt(max(0.0, self.residual_px**2 - self.localization_px**2))

    def in_words(self) -> str:
        """Shift, rotation and scale."""
        x, y = self.shift_px
        return (
            f"shift ({x:+.2f}, {y:+.2f}) px at the middle of the image{self._nm(math.hypot(x, y))}, "
            f"rotation {self.rotation_degrees:+.3f}°, scale {self.scale:.4f}"
        )

    def quality(self) -> str:
        """Spots, outliers and residual."""
        residual = "no residual" if math.isnan(self.residual_px) else f"residual {self.residual_px:.3f} px"
        counts = f"{self.n_spots} spots, {self.n_outliers} outliers"
        return f"{residual}{self._nm(self.residual_px)}, {counts}, {self.model}"

    def summary(self) -> str:
        """All of it, for a line of notes."""
        return f"{self.in_words()}; {self.quality()}"

    def _nm(self, length_px: float) -> str:
        known = self.pixel_size_nm is not None and math.isfinite(length_px)
        return f" ({length_px * (self.pixel_size_nm or 0):.0f} nm)" if known else ""

    def seen_share(self) -> float:
        """Share of channel 1's pixels that lie in channel 2's image."""
        height, width = self.image_size
        rows, columns = (np.linspace(0, side - 1, min(side, MOST_SAMPLES)) for side in self.image_size)
        y, x = np.meshgrid(rows, columns, indexing="ij")
        at_x, at_y = (a * x + b * y + c for a, b, c in self.transform)
        inside = (at_x >= -0.5) & (at_x <= width - 0.5) & (at_y >= -0.5) & (at_y <= height - 0.5)
        return float(inside.mean())


Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Finite, Finite, Finite]
Count = Annotated[int, Field(ge=0)]


class _File(Section):
    """The YAML's keys."""

    format: Literal["piezo1 registration 1"]
    matrix: tuple[Row, Row]
    image_size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    in_words: str = ""
    model: Model
    n_spots: Count
    n_outliers: Count
    residual_px: NotNegative | None
    residual_nm: NotNegative | None = None
    localization_px: NotNegative
    field_error_px: NotNegative | None
    cautions: tuple[str, ...] = ()
    source: str = ""
    made: str = ""
    pixel_size_nm: Positive | None = None


def save_registration(registration: Registration, path: Path) -> None:
    """Write it as YAML for people and for `load_registration`.

    Raises
    ------
    RegistrationError
        If it cannot be written.
    """
    residual_nm = None
    if registration.pixel_size_nm is not None and math.isfinite(registration.residual_px):
        residual_nm = registration.residual_px * registration.pixel_size_nm
    file = _File(
        format=FORMAT,
        matrix=registration.transform.tolist(),
        image_size=registration.image_size,
        in_words=registration.summary(),
        model=registration.model,
        n_spots=registration.n_spots,
        n_outliers=registration.n_outliers,
        residual_px=_known(registration.residual_px),
        residual_nm=residual_nm,
        localization_px=registration.localization_px,
        field_error_px=_known(registration.field_error_px),
        cautions=registration.cautions,
        source=registration.source,
        made=registration.made,
        pixel_size_nm=registration.pixel_size_nm,
    )
    keys = {key: value for key, value in file.model_dump(mode="json").items() if key != "matrix"}
    rows = "".join(f"- {row}\n" for row in file.model_dump(mode="json")["matrix"])
    text = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True, width=110)
    try:
        path.write_text(f"{HEADER}matrix:\n{rows}{text}", encoding="utf-8")
    except OSError as error:
        raise RegistrationError(f"cannot write {path}: {error.strerror}") from error


def load_registration(path: Path) -> Registration:
    """Read what `save_registration` wrote.

    Raises
    ------
    RegistrationError
        If it cannot be read, is no registration, or maps the image to a line or beside the other one.
    """
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegistrationError(f"cannot read registration {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise RegistrationError(f"{path} is not valid YAML: make it again with `piezo1 register`") from error
    if not isinstance(loaded, dict) or loaded.get("format") != FORMAT:
        raise RegistrationError(
            f"{path} is no registration of format {FORMAT!r}: make it with `piezo1 register`"
        )
    try:
        file = _File.model_validate(loaded)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise RegistrationError(f"{where} in {path} is wrong: {problem['msg']}") from error
    registration = Registration(
        transform=np.array(file.matrix),
        image_size=file.image_size,
        model=file.model,
        n_spots=file.n_spots,
        n_outliers=file.n_outliers,
        residual_px=math.nan if file.residual_px is None else file.residual_px,
        localization_px=file.localization_px,
        field_error_px=math.nan if file.field_error_px is None else file.field_error_px,
        cautions=file.cautions,
        source=file.source,
        made=file.made,
        pixel_size_nm=file.pixel_size_nm,
    )
    if abs(np.linalg.det(registration.transform[:, :2])) < 1e-3:
        raise RegistrationError(
            f"matrix in {path} maps the image to a line: make it again with `piezo1 register`"
        )
    if not registration.seen_share():
        raise RegistrationError(f"matrix in {path} puts all of channel 1 outside channel 2: make it again")
    return registration


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
