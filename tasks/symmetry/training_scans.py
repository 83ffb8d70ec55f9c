"""The scans of the study `symmetry` in which students of growing width are trained, as plain specs.

Şimşek et al. 2021, arXiv:2105.12221, section 5: Adam from Glorot's uniform distribution, then a
method that goes on to the end. Theirs is of 10⁶ steps and sequential least squares; this one is
shorter, and Levenberg–Marquardt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.symmetry.parameters import PUBLISHED_UNITS

TAUGHT = PUBLISHED_UNITS[0]
STEP = 1e-3
LOW = 1e-13
"""Loss at which a training ends: a tenth of what counts as zero."""
_TOLERANCE = 1e-10
_FIRST_SEED = 210512
_TOGETHER = 25
"""Trainings of one chunk, so that two workers share a scan."""


@dataclass(frozen=True)
class Training:
    """Students of one width, trained from seeded starts.

    Attributes:
        name: of the scan.
        units: m.
        steps: of Adam.
        seed: of its own, so that the starts are independent of all others.
    """

    name: str
    units: int
    steps: int
    seed: int
    activation: str = "sigmoid"


@dataclass(frozen=True)
class Trainings:
    """How much is trained.

    Attributes:
        growing: sigmoid students of growing width; the first one is narrower than the teacher.
        known: those whose success is known from elsewhere.
        others: students with an activation without parity symmetry.
        starts: of each.
        last_iterations: of Levenberg–Marquardt, at most.
        serial: whether they run in this process.
    """

    growing: tuple[Training, ...]
    known: tuple[Training, ...]
    others: tuple[Training, ...]
    starts: int
    last_iterations: int
    serial: bool

    @property
    def every(self) -> tuple[Training, ...]:
        """Each scan once."""
        return tuple(dict.fromkeys((*self.growing, *self.known, *self.others)))

    @property
    def narrower(self) -> Training:
        """That of students narrower than their teacher."""
        return next(each for each in self.growing if each.units < TAUGHT)

    @property
    def wider(self) -> tuple[Training, ...]:
        """Those of students wider than their teacher, once for each width and activation."""
        return tuple(each for each in (*self.growing, *self.others) if each.units > TAUGHT)

    @property
    def as_wide(self) -> Training:
        """That of sigmoid students as wide as their teacher."""
        return next(each for each in self.growing if each.units == TAUGHT)


def trainings(quick: bool) -> Trainings:
    """50 starts at six widths, or, if quick, 8 at three of them."""
    if quick:
        growing = _growing((3, 4, 8), 400)
        return Trainings(growing, growing[1:2], (), starts=8, last_iterations=120, serial=True)
    others = tuple(
        Training(f"width-{units}-asymmetric", units, 3000, _FIRST_SEED + 200 + units, "asymmetric")
        for units in (5, 10, 20)
    )
    known = tuple(
        Training(f"width-{units}-longer", units, 20_000, _FIRST_SEED + 100 + units)
        for units in (4, 5)
    )
    return Trainings(
        _growing((3, 4, 5, 8, 10, 20), 3000),
        known,
        others,
        starts=50,
        last_iterations=300,
        serial=False,
    )


def _growing(widths: tuple[int, ...], steps: int) -> tuple[Training, ...]:
    return tuple(Training(f"width-{m}", m, steps, _FIRST_SEED + m) for m in widths)


def training_scans(quick: bool) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    sizes = trainings(quick)
    return {each.name: _trained(each, sizes) for each in sizes.every}


def _trained(training: Training, sizes: Trainings) -> dict[str, Any]:
    serial = {"workers": 0} if sizes.serial else {}
    return {
        "task": "symmetry-net",
        "parameters": {"units": [training.units], "activation": training.activation},
        "splits": ["train"],
        "starts": {"num": sizes.starts},
        "descent": {
            "method": "adam",
            "step": STEP,
            "max_iterations": training.steps,
            "tolerance": _TOLERANCE,
            "target": LOW,
            "then": {"method": "lm", "max_iterations": sizes.last_iterations},
            "keep_parameters": True,
        },
        "chunks": {"start": min(_TOGETHER, sizes.starts)},
        "seed": training.seed,
        "compute": {**serial, "dtype": "float64"},
    }
