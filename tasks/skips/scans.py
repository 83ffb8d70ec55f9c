"""The scans of the study `no-bad-valleys` but for those of trainings, as plain specs.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EPSILON, LOOSE, TIGHT = 1e-3, 1e-1, 1e-6
SIGMOID, SOFTPLUS = "sigmoid", "softplus"
ACTIVATIONS = (SIGMOID, SOFTPLUS)
WINDOWS = {SIGMOID: 20.0, SOFTPLUS: 9.0}
"""How far the planes reach either way, as published."""

NORMAL = {activation: f"path-{activation}" for activation in ACTIVATIONS}
EQUAL = {activation: f"path-equal-{activation}" for activation in ACTIVATIONS}
ZERO = {activation: f"path-zero-{activation}" for activation in ACTIVATIONS}
PROOF = {activation: f"proof-{activation}" for activation in ACTIVATIONS}
PATH_LOOSE, PATH_TIGHT = "path-loose", "path-tight"
PATH_PLAIN, PATH_REPEATED, LINE_PLAIN = "path-plain", "path-repeated", "line-plain"
OUTPUT_PLANE, HIDDEN_PLANE = "output-plane", "hidden-plane"
HIDDEN_SKIPS, HIDDEN_PLAIN = "hidden-skips", "hidden-plain"
NEAR_SKIPS, NEAR_PLAIN = "near-skips", "near-plain"
NEAR = 0.9
"""How far the planes around a random start reach."""

_SKIPS = 160
_FEW = 32
"""Samples of softplus units that are all equal: most of them put out next to nothing at most
samples, so that the rank of many samples would be lost in rounding."""
_POINTS = 101
_SEEDS_APART = 1000


@dataclass(frozen=True)
class Sizes:
    """How much is scanned.

    Attributes:
        starts: paths from normal starts, of each activation.
        deficient: paths from starts of equal units, and half as many from zero.
        others: paths with other ε, and lines to solutions.
        sides: points along each axis of the large planes, by activation.
        hidden_side: of those that move hidden layers alone.
        near: whether there are planes around a random start, of as many points as those.
        small_side: of the planes with second derivatives.
        data, samples, hidden: of the large planes, with as many skip units as samples.
        workers: of all.
    """

    starts: int
    deficient: int
    others: int
    sides: Mapping[str, int]
    hidden_side: int
    near: bool
    small_side: int
    data: str
    samples: int
    hidden: tuple[int, ...]
    workers: int | str


FULL = Sizes(
    starts=200,
    deficient=50,
    others=20,
    sides={SIGMOID: 201, SOFTPLUS: 101},
    hidden_side=41,
    near=True,
    small_side=21,
    data="mnist-subset",
    samples=1024,
    # Two hidden layers, as in the paper; 300 and 10 units would not be the 1,024 skip units.
    hidden=(784, 300),
    workers="auto",
)
QUICK = Sizes(
    starts=8,
    deficient=4,
    others=2,
    sides={SIGMOID: 21, SOFTPLUS: 21},
    hidden_side=21,
    near=False,
    small_side=5,
    data="digits",
    samples=128,
    hidden=(100, 60),
    workers=0,
)


def surface_name(activation: str, skips: bool) -> str:
    """The scan of a large plane."""
    return f"surface-{activation}-{'skips' if skips else 'plain'}"


def skip_paths() -> tuple[str, ...]:
    """The scans along paths of networks with skip units, from any kind of start, to ε = 1e-3."""
    return tuple(scan for kind in (NORMAL, EQUAL, ZERO) for scan in kind.values())


def surfaces() -> tuple[str, ...]:
    """The scans of the large planes."""
    return tuple(surface_name(each, skips) for each in ACTIVATIONS for skips in (True, False))


def with_accuracy() -> tuple[str, ...]:
    """The scans that also measure the accuracy."""
    paths = (*skip_paths(), PATH_LOOSE, PATH_TIGHT, PATH_PLAIN, PATH_REPEATED, LINE_PLAIN)
    return (*paths, *surfaces(), HIDDEN_SKIPS, HIDDEN_PLAIN)


def all_scans(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name. Scans have seeds of their own, but where starts are to be shared."""
    return {**_paths(sizes), **_controls(sizes), **_planes(sizes), **_large_planes(sizes)}


def _scan(
    sizes: Sizes, parameters: dict[str, Any], seed: int, dtype: str, **more: object
) -> dict[str, Any]:
    return {
        "task": "skip-net",
        "parameters": parameters,
        "splits": ["train"],
        "metrics": ["loss", "accuracy"],
        "seed": _SEEDS_APART * seed,
        "compute": {"workers": sizes.workers, "dtype": dtype},
        **more,
    }


def _path(sizes: Sizes, seed: int, replicates: int, **parameters: object) -> dict[str, Any]:
    return _scan(
        sizes,
        {"section": "descent", "epsilon": EPSILON, **parameters},
        seed,
        "float64",
        axes={"t": {"start": 0, "stop": 1, "num": _POINTS}},
        chunks={"t": _POINTS},
        replicates=replicates,
    )


def _paths(sizes: Sizes) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    half = max(2, sizes.deficient // 2)
    for number, activation in enumerate(ACTIVATIONS):
        own: dict[str, object] = {"skips": _SKIPS, "activation": activation}
        equal = {**own, "start": "equal", **({"samples": _FEW} if activation == SOFTPLUS else {})}
        found |= {
            NORMAL[activation]: _path(sizes, 1 + number, sizes.starts, **own),
            EQUAL[activation]: _path(sizes, 3 + number, sizes.deficient, **equal),
            ZERO[activation]: _path(sizes, 5 + number, half, **own, start="zero"),
        }
    tight: dict[str, object] = {"epsilon": TIGHT, "activation": SOFTPLUS}
    return {
        **found,
        PATH_LOOSE: _path(sizes, 7, sizes.others, skips=_SKIPS, epsilon=LOOSE),
        PATH_TIGHT: _path(sizes, 8, sizes.others, skips=_SKIPS, **tight),
    }


def _controls(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Without skip units, from the same starts; with an image that has two labels."""
    return {
        PATH_PLAIN: _path(sizes, 1, sizes.starts),
        PATH_REPEATED: _path(sizes, 9, sizes.deficient, skips=_SKIPS, repeated=True),
        LINE_PLAIN: _path(sizes, 1, sizes.others, section="across"),
    }


def _plane(side: int, reach: float) -> dict[str, Any]:
    axis = {"start": -reach, "stop": reach, "num": side}
    return {"a": axis, "b": axis}


def _planes(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Small planes: of second derivatives, and at the parameters of the proof of Lemma 3.2."""
    small = {
        "axes": _plane(sizes.small_side, 3.0),
        "metrics": ["loss", "section_hessian"],
        "replicates": 2,
    }
    proofs = {
        PROOF[activation]: _scan(
            sizes,
            {"skips": _SKIPS, "activation": activation, "start": "proof"},
            12 + number,
            "float64",
            axes=_plane(3, 1.0),
            replicates=sizes.others,
        )
        for number, activation in enumerate(ACTIVATIONS)
    }
    return {
        OUTPUT_PLANE: _scan(sizes, {"skips": _SKIPS, "section": "output"}, 10, "float64", **small),
        HIDDEN_PLANE: _scan(sizes, {"skips": _SKIPS, "section": "hidden"}, 11, "float64", **small),
        **proofs,
    }


def _large_planes(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Pairs with the same images, start and directions, with skip units and without."""

    def pair(
        seed: int,
        activation: str,
        side: int,
        skips: bool,
        reach: float | None = None,
        **changes: object,
    ) -> dict[str, Any]:
        parameters: dict[str, Any] = {
            "data": sizes.data,
            "samples": sizes.samples,
            "hidden": list(sizes.hidden),
            "activation": activation,
            **changes,
        }
        if skips:
            parameters["skips"] = sizes.samples
        return _scan(
            sizes, parameters, seed, "float32", axes=_plane(side, reach or WINDOWS[activation])
        )

    side = sizes.hidden_side
    found = {
        surface_name(activation, skips): pair(
            14 + number, activation, sizes.sides[activation], skips, section="random", start="zero"
        )
        for number, activation in enumerate(ACTIVATIONS)
        for skips in (True, False)
    }
    found |= {
        HIDDEN_SKIPS: pair(16, SIGMOID, side, True, section="hidden"),
        HIDDEN_PLAIN: pair(16, SIGMOID, side, False, section="hidden"),
    }
    if sizes.near:
        found |= {
            NEAR_SKIPS: pair(15, SOFTPLUS, side, True, section="random", reach=NEAR),
            NEAR_PLAIN: pair(15, SOFTPLUS, side, False, section="random", reach=NEAR),
        }
    return found
