"""Candidates for an evaluator: what is expanded, which axes vary slowest, and block sizes.

Shape legend: P = points, B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from pipeline.engine.blocks import split_blocks
from pipeline.engine.contract import EngineChoice, Work, item_bytes
from pipeline.engine.graph.batched_body import Unbatchable, batched_body
from pipeline.engine.graph.program import Program, make_program
from pipeline.engine.graph.traced import trace_block
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk

_TRACED_SAMPLES = 64
_MOST_TERMS = 400
_MOST_DEGREE = 12
_SAMPLE_BLOCKS = (64, 256)
_BATCHED_SAMPLES = (256, 128, 512)
# The values of a block of points and samples should stay in a core's cache.
_CACHE_BYTES = {"cpu": (2 * 2**20, 2**20), "cuda": (512 * 2**20, 128 * 2**20)}
_MOST_POINT_BLOCK = 128
_SHARE_OF_ROOM = 0.5


def sample_blocks(plain: EngineChoice, samples: int) -> list[EngineChoice]:
    """The same evaluator with smaller blocks of samples."""
    return [replace(plain, sample_block=size) for size in _SAMPLE_BLOCKS if size < samples]


def traced_candidates(
    landscape: Landscape, split: str, work: Work, plain: EngineChoice
) -> Iterator[EngineChoice]:
    """Evaluators of the traced objective, in the order of their promise; raises Untraceable."""
    for program, base in _candidate_programs(landscape, split, work, plain):
        yield from _sizes(program, base, work)


def _candidate_programs(
    landscape: Landscape, split: str, work: Work, plain: EngineChoice
) -> Iterator[tuple[Program, EngineChoice]]:
    """Programs worth timing, the most promising first, each with its degree and outer axes.

    A loss that is a polynomial comes alone, if its coefficients pay for themselves.

    Raises:
        Untraceable: the module cannot be traced.
    """
    objective = cast("EmpiricalRisk", landscape.objective)
    sized = replace(plain, sample_block=_TRACED_SAMPLES)
    block = split_blocks(objective, (split,), sized)[0][0]
    risk = trace_block(objective, landscape.section, block, sized, work.metrics)
    moved = [frozenset(direction) for direction in landscape.section.directions]
    outputs = "accuracy" in work.metrics
    found: list[tuple[float, Program, EngineChoice]] = []
    for outer in _outer_sets(make_program(risk, tuple(moved), 0, outputs), moved):
        inner = tuple(names for axis, names in enumerate(moved) if axis not in outer)
        for degree in _degrees(make_program(risk, inner, 0, outputs)):
            program = make_program(risk, inner, degree, outputs)
            if any(program.terms(node) > _MOST_TERMS for node in program.frontier):
                continue
            cost = program.cost() + program.setup_cost() * _setups(outer, work)
            choice = replace(plain, degree=degree, outer=outer)
            if program.is_polynomial and not outputs and work.metrics == ("loss",):
                polynomial = (cost, program, replace(choice, name="polynomial"))
                if not outer and not program.body:
                    found.append(polynomial)
                continue
            found.append((cost, program, choice))
    found.sort(key=lambda entry: entry[0])
    yield from _worth_timing(found, plain)


def _worth_timing(
    found: list[tuple[float, Program, EngineChoice]], plain: EngineChoice
) -> Iterator[tuple[Program, EngineChoice]]:
    if found[0][2].name == "polynomial":
        yield found[0][1], found[0][2]
        return
    direct = [entry for entry in found if entry[2].name != "polynomial"]
    yield direct[0][1:]
    simplest = next(e for e in direct if not e[2].outer and e[2].degree == plain.degree)
    if simplest is not direct[0]:
        yield simplest[1:]


def _setups(outer: tuple[int, ...], work: Work) -> float:
    """How often coefficients are prepared for each point that is evaluated."""
    if not outer:
        return 1.0 / work.total
    groups = len(np.unique(work.points[:, list(outer)], axis=0))
    return groups / len(work.points)


def _outer_sets(program: Program, moved: Sequence[frozenset[str]]) -> list[tuple[int, ...]]:
    """Sets of axes that may vary slowest: those whose directions act first."""
    order = {node: index for index, node in enumerate(program.risk.module.graph.nodes)}

    def depth(names: frozenset[str]) -> int:
        users = [user for name in names for user in program.risk.parameters[name].users]
        return min((order[user] for user in users), default=len(order))

    depths = [depth(names) for names in moved]
    levels = sorted(set(depths))
    return [tuple(axis for axis, own in enumerate(depths) if own < level) for level in levels]


def _degrees(program: Program) -> list[int]:
    known = {
        trait.degree
        for trait in program.traits.values()
        if trait.data and trait.moving and trait.degree is not None
    }
    return [0, *sorted(degree for degree in known if 0 < degree <= _MOST_DEGREE)]


def _sizes(program: Program, base: EngineChoice, work: Work) -> Iterator[EngineChoice]:
    """Evaluators of a program with block sizes that fit the room."""
    if base.name == "polynomial":
        yield replace(base, sample_block=_BATCHED_SAMPLES[-1])
        return
    item, wide = item_bytes(base.torch_dtype), item_bytes(base.sum_dtype)
    live, prepared = max(1, program.live_numbers()), program.prepared_numbers()

    def fits(samples: int, points: int) -> bool:
        needed = samples * (points * live * item + 2 * prepared * wide)
        return needed <= work.room * _SHARE_OF_ROOM

    try:
        batched_body(program, 2)
    except Unbatchable:
        pass
    else:
        for size in _CACHE_BYTES[base.device]:
            for samples in _BATCHED_SAMPLES:
                points = _power_of_two(size / (live * samples * item))
                if fits(samples, points):
                    yield replace(base, name="batched", sample_block=samples, point_block=points)
    for samples in _SAMPLE_BLOCKS:
        if fits(samples, 1):
            yield replace(base, name="traced", sample_block=samples)


def _power_of_two(number: float) -> int:
    return int(2 ** np.clip(np.floor(np.log2(max(number, 1.0))), 0, np.log2(_MOST_POINT_BLOCK)))
