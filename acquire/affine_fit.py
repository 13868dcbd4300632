"""Least squares of a shift, a similarity or an affine map to pairs of points.

Points are complex numbers x + iy in pixels. In them all three maps are linear: a point is displaced by
b (translation), b + a·z (similarity) or b + a·z + c·z̄ (affine), so there is one fit for all of them.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Model = Literal["translation", "similarity", "affine"]
Complex = NDArray[np.complex128]
Array = NDArray[np.float64]
Index = NDArray[np.intp]

N_COEFFICIENTS: dict[Model, int] = {"translation": 1, "similarity": 2, "affine": 3}
# Pairs from which a model is taken. Two would do for a similarity and three for an affine map, but such fits
# go through every point: their residuals tell nothing, and one wrong pair is not noticed. Twice the least for
# an affine map, whose extrapolation is the more wrong of the two with fewer (docs/decisions/0017).
LEAST_PAIRS: dict[Model, int] = {"translation": 1, "similarity": 3, "affine": 6}


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """A map of the plane.

    Attributes
    ----------
    coefficients
        b, a, c of the displacement b + a·u + c·ū (1 to 3 of them), with u = (z − middle) / size.
    middle, size
        Middle of the image, and half of its longer side: pixels.
    """

    coefficients: Complex
    middle: complex
    size: float

    def __call__(self, z: Complex) -> Complex:
        """Where points z (N,) go."""
        moved: Complex = z + self.terms(z) @ self.coefficients
        return moved

    def terms(self, z: Complex) -> Complex:
        """What the coefficients multiply at points z (N,): (N, number of coefficients)."""
        u = (np.asarray(z) - self.middle) / self.size
        return np.stack([np.ones_like(u), u, u.conj()], axis=-1)[..., : len(self.coefficients)]

    @property
    def model(self) -> Model:
        """What kind of map it is."""
        return next(model for model, n in N_COEFFICIENTS.items() if n == len(self.coefficients))

    @property
    def matrix(self) -> Array:
        """The same as (2, 3): the point (x, y) goes to `matrix @ (x, y, 1)`."""
        origin, right, down = self(np.array([0, 1, 1j], np.complex128))
        columns = np.array([right - origin, down - origin, origin])
        return np.stack([columns.real, columns.imag])


def identity(image_size: tuple[int, int]) -> AffineMap:
    """The map that leaves everything where it is, for images of that height and width."""
    height, width = image_size
    return AffineMap(
        np.zeros(1, np.complex128), complex((width - 1) / 2, (height - 1) / 2), max(image_size) / 2
    )


def model_for(n_places: int) -> Model:
    """The most general model that so many pairs support."""
    models: tuple[Model, ...] = ("affine", "similarity")
    return next((model for model in models if n_places >= LEAST_PAIRS[model]), "translation")


def fit(model: Model, like: AffineMap, z1: Complex, z2: Complex, weight: Array) -> AffineMap:
    """Map that takes z1 to z2 best, both (N,), by weighted least squares.

    Parameters
    ----------
    model
        Kind of map.
    like
        A map of the same image.
    weight
        Of each pair (N,), in proportion to the inverse of its variance.
    """
    blank = AffineMap(np.zeros(N_COEFFICIENTS[model], np.complex128), like.middle, like.size)
    terms, root = blank.terms(z1), np.sqrt(weight)
    solved = np.linalg.lstsq(terms * root[:, None], (z2 - z1) * root, rcond=None)[0]
    return AffineMap(np.asarray(solved, np.complex128), like.middle, like.size)


def left_out_errors(fitted: AffineMap, z1: Complex, z2: Complex, weight: Array, place: Index) -> Complex:
    """Errors of each pair (N,) under the map fitted without its place; NaN where the others do not suffice.

    Few points lie near a map that was fitted to them, however wrong it is; what is left out tells the truth.

    Parameters
    ----------
    fitted
        Tells the model and the image.
    z1, z2, weight
        Pairs (N,).
    place
        Number of the place (0 … P − 1) that each pair is at (N,): pairs of one place stand or fall together.
    """
    terms = fitted.terms(z1)
    n_places, p = int(place.max()) + 1, terms.shape[1]
    normal = weight[:, None, None] * terms.conj()[:, :, None] * terms[:, None, :]
    right = weight[:, None] * terms.conj() * (z2 - z1)[:, None]
    own_normal = np.zeros((n_places, p, p), np.complex128)
    own_right = np.zeros((n_places, p), np.complex128)
    np.add.at(own_normal, place, normal)
    np.add.at(own_right, place, right)
    rest = own_normal.sum(axis=0) - own_normal
    # Too few others, or others in one line for an affine map.
    solvable = np.linalg.cond(rest) < 1e10
    rest[~solvable] = np.eye(p)
    without = np.linalg.solve(rest, (own_right.sum(axis=0) - own_right)[..., None])[..., 0]
    without[~solvable] = np.nan
    errors: Complex = z2 - z1 - (terms * without[place]).sum(axis=1)
    return errors


def prediction_variance(fitted: AffineMap, z1: Complex, weight: Array, at: Complex) -> Array:
    """Variance of the map at points `at`, both coordinates together, where weights are inverse variances."""
    terms, there = fitted.terms(z1), fitted.terms(at)
    normal = (weight[:, None] * terms.conj()).T @ terms
    inverse = np.linalg.pinv(normal, hermitian=True)
    return np.asarray(np.einsum("ni,ij,nj->n", there, inverse, there.conj()).real)
