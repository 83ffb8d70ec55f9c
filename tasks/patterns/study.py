"""The study `patterns`: Theorems 1 and 2 of Czarnecki et al. 2019, arXiv:1912.07559."""

from __future__ import annotations

from typing import Any

from schemas.scan import ScanSpec, parse_spec
from schemas.study import Claim, Study
from tasks.patterns import claims

ELSEWHERE = ("train", "test", "other", "random", "shifted")
_UNIT = {"start": 0, "stop": 1}
_WELLS = {"function": "two-well"}


def patterns_study(quick: bool) -> Study:
    """The study at its full sizes (z = 2 at 256×256) or, if quick, at 24×24 with small networks."""
    scans = _quick_scans() if quick else _full_scans()
    specs = {name: parse_spec(raw, f"study patterns, {name}") for name, raw in scans.items()}
    return Study(
        name="patterns",
        summary="Every low-dimensional pattern occurs in the loss surface of a network (Theorem "
        "1), even near its global minimum (Theorem 2); the first kind transfers, the second does "
        "not.",
        scans=specs,
        claims=(*_theorem1(specs), *_theorem2(), *_controls()),
        cover="theorem1:relief",
    )


def _scan(
    task: str, num: int, z: int = 2, *, splits: tuple[str, ...] = ELSEWHERE, **parameters: object
) -> dict[str, Any]:
    axes = {f"h{axis + 1}": {**_UNIT, "num": num} for axis in range(z)}
    parameters = {"target": _WELLS, **parameters}
    return {"task": task, "parameters": parameters, "axes": axes, "splits": splits}


def _full_scans() -> dict[str, dict[str, Any]]:
    first, second = "pattern-theorem1", "pattern-theorem2"
    net = {"hidden": [32, 64, 64]}
    wide = {"hidden": [128, 128, 128]}
    pair = ("train", "test")
    return {
        "theorem1": _scan(first, 256, network=net),
        "theorem1-mse": _scan(first, 256, splits=pair, network=net, loss="mse"),
        "theorem1-line": _scan(
            first, 1024, 1, splits=pair, network=net, target={"function": "ripples"}
        ),
        "theorem1-volume": _scan(first, 24, 3, splits=pair, network={"hidden": [32, 128, 64]}),
        "theorem1-four": _scan(first, 9, 4, splits=pair, network={"hidden": [32, 128, 64]}),
        "theorem1-cnn": _scan(
            first, 48, splits=pair, network={"kind": "cnn", "channels": 8, "hidden": [64, 64]}
        ),
        "theorem1-mnist": _scan(first, 32, splits=pair, network=net, data="mnist-subset"),
        "untrained": _scan(first, 64, splits=pair, network=net, training={"steps": 0}),
        "theorem2": _scan(second, 48, network=wide, splits=("train", "test", "other", "random")),
        "theorem2-mse": _scan(second, 32, network=wide, splits=pair, loss="mse"),
    }


def _quick_scans() -> dict[str, dict[str, Any]]:
    net = {"hidden": [16, 48, 48]}
    brief = {"steps": 800, "refinement": 500}
    scans = {
        "theorem1": _scan("pattern-theorem1", 24, network=net, training=brief),
        "untrained": _scan(
            "pattern-theorem1", 24, splits=("train", "test"), network=net, training={"steps": 0}
        ),
        "theorem2": _scan(
            "pattern-theorem2",
            17,
            splits=("train", "test", "other", "random"),
            network={"hidden": [96, 96, 96]},
            training={"steps": 1800, "batch": 512},
        ),
    }
    return {name: {**raw, "compute": {"workers": 0}} for name, raw in scans.items()}


def _theorem1(specs: dict[str, ScanSpec]) -> list[Claim]:
    found = [
        claims.contains_smooth("theorem1", "a smooth two-well T"),
        claims.transfers_as_predicted("theorem1", "test"),
        claims.transfers_as_predicted("theorem1", "shifted"),
        claims.transfers_plainly(
            "theorem1", "other", "a different real data set with the same label marginal"
        ),
        claims.transfers_plainly(
            "theorem1", "random", "random inputs with the same label marginal"
        ),
        claims.respects_floor("theorem1", "cross_entropy"),
    ]
    smooth = {
        "theorem1-mse": "a two-well T with squared error",
        "theorem1-line": "a one-dimensional T",
        "theorem1-cnn": "a T on the biases of a convolution",
        "theorem1-mnist": "a T on MNIST images",
    }
    found += [claims.contains_smooth(s, words) for s, words in smooth.items() if s in specs]
    rough = {"theorem1-volume": "a three-dimensional T", "theorem1-four": "a four-dimensional T"}
    found += [
        claims.contains_on_average(s, words, claims.SMOOTH_SUP)
        for s, words in rough.items()
        if s in specs
    ]
    if "theorem1-mse" in specs:
        found.append(claims.respects_floor("theorem1-mse", "mse"))
        found.append(claims.transfers_as_predicted("theorem1-mse", "test"))
    return found


def _theorem2() -> list[Claim]:
    return [
        claims.contains_exactly("theorem2"),
        claims.near_global("theorem2"),
        claims.little_to_gain("theorem2"),
        claims.unlike_elsewhere("theorem2", "random", "random inputs with the same labels"),
        claims.unlike_elsewhere("theorem2", "other", "a different data set with the same labels"),
    ]


def _controls() -> list[Claim]:
    return [
        claims.contains_smooth(
            "untrained", "T, with an untrained sub-network,", control=True, name="untrained"
        ),
        claims.transfers_plainly(
            "theorem1",
            "shifted",
            "a test set with a shifted label marginal",
            control=True,
            name="shifted-marginal",
        ),
        claims.near_global("theorem1", control=True, name="theorem2-claim-on-theorem1-net"),
        claims.little_to_gain("theorem1", control=True, name="theorem1-net-has-much-to-gain"),
        claims.transfers_plainly(
            "theorem2",
            "random",
            "random inputs, for Theorem 2's net",
            control=True,
            name="theorem2-transfers",
        ),
    ]
