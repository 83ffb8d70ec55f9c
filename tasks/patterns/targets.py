"""The pattern T: a function from [0,1]^z to the reals, from a formula, an image or an array.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError
from tasks.patterns.parameters import TargetParameters

Floats: TypeAlias = npt.NDArray[np.float64]
_FIELD = "parameters.target"
_RANGE_POINTS = 18


@dataclass(frozen=True)
class Target:
    """T: points (P, z) → values (P,); NaN outside [0,1]^z.

    Attributes:
        name: how a user called it.
        z: its dimensions.
        function: the values inside the cube.
        sources: SHA-256 of each file it was read from.
    """

    name: str
    z: int
    function: Callable[[Floats], Floats]
    sources: Mapping[str, str]

    def __call__(self, points: Floats) -> Floats:
        """Values at points (P, z)."""
        inside = np.all((points >= 0) & (points <= 1), axis=1)
        values = np.full(len(points), np.nan)
        values[inside] = self.function(points[inside])
        return values

    def range(self) -> tuple[float, float]:
        """Least and greatest value: exact for samples, otherwise on about 2^18 points.

        The points are a lattice with the corners, or random where even three a side are too many.
        """
        if isinstance(self.function, Sampled):
            return float(self.function.values.min()), float(self.function.values.max())
        side = round(2 ** (_RANGE_POINTS / self.z)) | 1
        if side**self.z <= 4 * 2**_RANGE_POINTS:
            axes = [np.linspace(0, 1, side)] * self.z
            points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, self.z)
        else:
            points = np.random.default_rng(0).random((2**_RANGE_POINTS, self.z))
        values = self.function(points)
        return float(values.min()), float(values.max())


@dataclass(frozen=True)
class Sampled:
    """Linear interpolation of an array whose index i runs along coordinate i of [0,1]^z."""

    values: Floats

    def __call__(self, points: Floats) -> Floats:
        """Values at points (P, z) of the cube."""
        from scipy.ndimage import map_coordinates

        index = points.T * (np.array(self.values.shape)[:, None] - 1)
        return np.asarray(map_coordinates(self.values, index, order=1, mode="nearest"))


def make_target(parameters: TargetParameters, z: int, base: Path) -> Target:
    """The target of z dimensions; SpecError for a bad file or a number of axes it cannot have."""
    if parameters.function is not None:
        return _named(parameters.function, z)
    if parameters.image is not None:
        return _image(base / parameters.image, parameters.size, z)
    return _array(base / str(parameters.array), z)


def _named(name: str, z: int) -> Target:
    function, dimensions = FUNCTIONS[name]
    if dimensions is not None and z not in dimensions:
        needed = " or ".join(map(str, dimensions))
        raise SpecError(f"{_FIELD}.function: {name} has {needed} dimensions; got {z} axes")
    return Target(name, z, function, {})


def _image(path: Path, size: int | None, z: int) -> Target:
    from PIL import Image, UnidentifiedImageError

    content = _read(path)
    try:
        with Image.open(path) as picture:
            # Pillow would cut deeper greys off at 255 instead of scaling them.
            white = 65_535.0 if picture.mode.startswith("I") else 255.0
            grey = picture.convert("F" if white > 255 else "L")
            if size is not None:
                grey = grey.resize((size, size), Image.Resampling.BOX)
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        raise SpecError(f"{_FIELD}.image: {path} is not an image; give a PNG or JPEG") from None
    if z != 2:
        raise SpecError(f"{_FIELD}.image: an image has 2 dimensions; got {z} axes")
    if min(grey.size) < 2:
        raise SpecError(f"{_FIELD}.image: {path} has {grey.size} pixels; at least 2×2 are needed")
    rows = np.asarray(grey, dtype=np.float64) / white
    # Rows run downwards; h1 is to the right and h2 upwards.
    return Target(path.name, 2, Sampled(rows[::-1].T.copy()), {str(path): _sha256(content)})


def _array(path: Path, z: int) -> Target:
    content = _read(path)
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise SpecError(
            f"{_FIELD}.array: {path} is not a .npy file of numbers; write it with numpy.save"
        ) from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        raise SpecError(f"{_FIELD}.array: {path} does not hold one array of real numbers")
    if values.ndim != z:
        raise SpecError(
            f"{_FIELD}.array: {path} has {values.ndim} dimensions; got {z} axes; give one for each"
        )
    if min(values.shape) < 2:
        raise SpecError(f"{_FIELD}.array: {path} has shape {values.shape}; expected 2 or more each")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise SpecError(f"{_FIELD}.array: {path} holds NaN or infinite values; all must be finite")
    return Target(path.name, z, Sampled(numbers), {str(path): _sha256(content)})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise SpecError(f"{_FIELD}: {path}: no such file; paths are relative to the spec") from None
    except OSError as error:
        raise SpecError(f"{_FIELD}: {path} cannot be read ({error.strerror})") from None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def two_well(points: Floats) -> Floats:
    """1 − exp(−‖u−c‖²/.1) − exp(−‖u+c‖²/.1), u = 2h−1, every cᵢ = ½.

    Czarnecki et al. 2019, fig. 4. Minimisers h = ¼ and ¾ in every coordinate.
    """
    u = 2 * points - 1
    wells = [np.exp(-np.square(u + sign * 0.5).sum(axis=1) / 0.1) for sign in (-1, 1)]
    return np.asarray(1 - wells[0] - wells[1])


def rastrigin(points: Floats) -> Floats:
    """Mean over coordinates of (x² + 10 − 10 cos 2πx)/22.25, x = 3h−1.5; minimiser h = ½.

    22.25 = 1.5² + 20 is its value at the corners, its greatest on this box.
    """
    x = 3 * points - 1.5
    value = (np.square(x) + 10 - 10 * np.cos(2 * np.pi * x)).mean(axis=1) / 22.25
    return np.asarray(value)


def rosenbrock(points: Floats) -> Floats:
    """log(1 + Σ 100(x_{i+1} − x_i²)² + (1−x_i)²) over its value at −2; x = 4h−2; minimiser ¾."""
    x = 4 * points - 2
    steep = 100 * np.square(x[:, 1:] - np.square(x[:, :-1])) + np.square(1 - x[:, :-1])
    greatest = math.log1p((points.shape[1] - 1) * 3609.0)
    return np.asarray(np.log1p(steep.sum(axis=1)) / greatest)


def ackley(points: Floats) -> Floats:
    """Ackley's function over 8, x = 4h−2; minimiser h = ½."""
    x = 4 * points - 2
    radius = np.sqrt(np.square(x).mean(axis=1))
    waves = np.cos(2 * np.pi * x).mean(axis=1)
    return np.asarray((20 - 20 * np.exp(-0.2 * radius) + math.e - np.exp(waves)) / 8)


def himmelblau(points: Floats) -> Floats:
    """log(1 + (x²+y−11)² + (x+y²−7)²)/log(891), (x, y) = 10h−5: four minimisers of value 0."""
    x, y = (10 * points - 5).T
    value = np.square(x**2 + y - 11) + np.square(x + y**2 - 7)
    return np.asarray(np.log1p(value) / math.log(891.0))


def ripples(points: Floats) -> Floats:
    """(−φ² + sin(20φ)/5 + 1.2)/1.4, φ = 2h−1 (Czarnecki et al. 2019, fig. 4)."""
    phi = 2 * points[:, 0] - 1
    return np.asarray((-np.square(phi) + np.sin(20 * phi) / 5 + 1.2) / 1.4)


FUNCTIONS: Mapping[str, tuple[Callable[[Floats], Floats], tuple[int, ...] | None]] = {
    "two-well": (two_well, None),
    "rastrigin": (rastrigin, None),
    "rosenbrock": (rosenbrock, tuple(range(2, 17))),
    "ackley": (ackley, None),
    "himmelblau": (himmelblau, (2,)),
    "ripples": (ripples, (1,)),
}
"""name → function and the numbers of dimensions it has; None for any."""
