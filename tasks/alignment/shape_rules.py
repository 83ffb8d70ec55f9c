"""How operations that compute nothing, or reduce, arrange the axes of their tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch

from tasks.alignment.axes import Axis, concatenation, cut, fix, regroup, unify
from tasks.alignment.calls import Axes, Call, Operand, Rule, Unsupported, broadcast, positions


def elementwise(call: Call) -> Sequence[Axes]:
    """Each value follows from the values at the same place."""
    if call.target is torch.ops.aten.where.default:
        raise Unsupported  # the places of what is not zero
    return [broadcast(call.operands, shape) for shape in call.shapes]


def dropped_out(call: Call) -> Sequence[Axes]:
    """Dropout that is switched off."""
    if call["train"]:
        raise Unsupported
    return [call.first.axes]


def unchanged(call: Call) -> Sequence[Axes]:
    """As the first tensor, over any of whose axes it may be mixed symmetrically, as by softmax."""
    return [call.first.axes]


def expanded(call: Call) -> Sequence[Axes]:
    """Copies along new axes, which are therefore free."""
    return [broadcast([call.first], call.shapes[0])]


def constant(call: Call) -> Sequence[Axes]:
    """The same value everywhere."""
    return [tuple(Axis(size) for size in shape) for shape in call.shapes]


def reshaped(call: Call) -> Sequence[Axes]:
    """The same numbers in row-major order."""
    axes = regroup(call.first.axes, call.shapes[0])
    if axes is None:
        raise Unsupported
    return [tuple(axes)]


def rearranged(call: Call) -> Sequence[Axes]:
    """Axes in another order, which is read off a tensor whose axes differ in size."""
    labels = list(range(2, 2 + len(call.first.axes)))
    rest = list(call.given.values())[1:]
    sizes = call.target(torch.empty(labels, device="meta"), *rest).shape
    return [tuple(call.first.axes[labels.index(size)] for size in sizes)]


def reduced(call: Call) -> Sequence[Axes]:
    """A symmetric function, such as a mean, over some axes; values only."""
    axes, given = call.first.axes, call["dim"]
    over = set(range(len(axes)))
    if given is not None and given != []:
        listed = given if isinstance(given, (list, tuple)) else [given]
        over = {dim % len(axes) for dim in listed}
    keep = bool(call["keepdim"])
    result = [
        Axis(1) if i in over else axis for i, axis in enumerate(axes) if keep or i not in over
    ]
    return [tuple(result)] * len(call.shapes)


def located(call: Call) -> Sequence[Axes]:
    """A reduction whose result tells a place on the axis."""
    if call["dim"] is None:
        raise Unsupported
    fix(_axis(call.first, call["dim"]), _named(call))
    return reduced(call)


def in_order(call: Call) -> Sequence[Axes]:
    """What is done along some axes depends on the order; the shape stays."""
    given = call["dims"] if "dims" in call.given else call["dim"]
    over = given if isinstance(given, (list, tuple)) else [given]
    if not over:
        raise Unsupported
    for dim in over:
        fix(_axis(call.first, dim), _named(call))
    return [call.first.axes]


def selected(call: Call) -> Sequence[Axes]:
    """One place of an axis, or each of them."""
    dim = call["dim"] % len(call.first.axes)
    fix(call.first.axes[dim], _named(call))
    return [_without(call.first.axes, dim)] * len(call.shapes)


def sliced(call: Call) -> Sequence[Axes]:
    """Part of an axis."""
    operand, dim = call.first, call["dim"] % len(call.first.axes)
    size = operand.axes[dim].size
    start, stop, step = slice(call["start"], call["end"], call["step"]).indices(size)
    if start >= stop:
        raise Unsupported
    if step == 1:
        return _pieces(operand, dim, [start, stop - start, size - stop])[1:2]
    fix(operand.axes[dim], _named(call))
    return [_replaced(operand.axes, dim, Axis(call.shapes[0][dim], _named(call)))]


def narrowed(call: Call) -> Sequence[Axes]:
    """Part of an axis, by its start and length."""
    operand, dim = call.first, call["dim"] % len(call.first.axes)
    start = call["start"] % operand.axes[dim].size
    rest = operand.axes[dim].size - start - call["length"]
    return _pieces(operand, dim, [start, call["length"], rest])[1:2]


def split(call: Call) -> Sequence[Axes]:
    """Consecutive parts of an axis."""
    dim = call["dim"] % len(call.first.axes)
    return _pieces(call.first, dim, [shape[dim] for shape in call.shapes])


def gated(call: Call) -> Sequence[Axes]:
    """Gated linear unit: the halves of an axis, multiplied."""
    dim = call["dim"] % len(call.first.axes)
    half = call.shapes[0][dim]
    first, second = _pieces(call.first, dim, [half, half])
    unify(first[dim], second[dim])
    return [first]


def joined(call: Call) -> Sequence[Axes]:
    """Tensors one after the other along an axis."""
    operands = [part for part in call.operands if part.shape != (0,)]
    dim = call["dim"] % len(call.shapes[0])
    for other in operands[1:]:
        for i, (a, b) in enumerate(zip(operands[0].axes, other.axes, strict=True)):
            if i != dim:
                unify(a, b)
    joint = concatenation([operand.axes[dim] for operand in operands])
    return [_replaced(operands[0].axes, dim, joint)]


def stacked(call: Call) -> Sequence[Axes]:
    """Tensors along a new axis."""
    dim = call["dim"] % len(call.shapes[0])
    for other in call.operands[1:]:
        for a, b in zip(call.first.axes, other.axes, strict=True):
            unify(a, b)
    axes = list(call.first.axes)
    axes.insert(dim, Axis(len(call.operands), _named(call)))
    return [tuple(axes)]


def padded(call: Call) -> Sequence[Axes]:
    """Positions before and after; those of a constant may stand in any order."""
    axes, same = list(call.first.axes), call["mode"] in (None, "constant")
    amounts = cast("list[int]", call["pad"])
    for i, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        dim = len(axes) - 1 - i
        if same and min(before, after) >= 0:
            axes[dim] = concatenation([Axis(before), axes[dim], Axis(after)])
        elif before or after:
            axes[dim : dim + 1] = positions(axes[dim : dim + 1], call.shapes[0][dim : dim + 1])
    return [tuple(axes)]


def _axis(operand: Operand, dim: int) -> Axis:
    return operand.axes[dim % len(operand.axes)]


def _named(call: Call) -> str:
    return f"operation {call.target._schema.name.split('::')[-1]}"


def _without(axes: Axes, dim: int) -> Axes:
    return axes[:dim] + axes[dim + 1 :]


def _replaced(axes: Axes, dim: int, axis: Axis) -> Axes:
    return (*axes[:dim], axis, *axes[dim + 1 :])


def _pieces(operand: Operand, dim: int, sizes: Sequence[int]) -> list[Axes]:
    if sum(sizes) != operand.axes[dim].size:
        raise Unsupported
    rest, result = operand.axes[dim], []
    for size in sizes:
        pair = cut(rest, size)
        if pair is None:
            raise Unsupported
        result.append(_replaced(operand.axes, dim, pair[0]))
        rest = pair[1]
    return result


def _ruled(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


SHAPE_RULES: dict[str, Rule] = {
    **_ruled(
        elementwise,
        "copy_ fill fill_ zero_ masked_fill masked_fill_ where float_power hardswish hardswish_ "
        "relu6_ selu_ celu_ log_sigmoid square_ threshold_",
    ),
    **_ruled(dropped_out, "dropout dropout_ feature_dropout alpha_dropout feature_alpha_dropout"),
    **_ruled(
        unchanged,
        "to _to_copy contiguous detach alias lift_fresh lift_fresh_copy type_as "
        "softmax _softmax log_softmax _log_softmax",
    ),
    **_ruled(expanded, "expand expand_as broadcast_to"),
    **_ruled(
        constant, "zeros ones full zeros_like ones_like full_like new_zeros new_ones new_full"
    ),
    **_ruled(
        reshaped, "view reshape _unsafe_view flatten unflatten squeeze unsqueeze view_as reshape_as"
    ),
    **_ruled(
        rearranged, "transpose permute t movedim moveaxis swapaxes swapdims mT mH numpy_T adjoint"
    ),
    **_ruled(
        reduced,
        "sum mean amax amin std var var_mean std_mean logsumexp linalg_vector_norm norm nanmean "
        "nansum prod all any",
    ),
    **_ruled(located, "max min argmax argmin median"),
    **_ruled(in_order, "cumsum cumprod roll flip"),
    **_ruled(selected, "select unbind"),
    **_ruled(sliced, "slice"),
    **_ruled(narrowed, "narrow"),
    **_ruled(split, "split split_with_sizes chunk tensor_split"),
    **_ruled(gated, "glu"),
    **_ruled(joined, "cat concat concatenate"),
    **_ruled(stacked, "stack"),
    **_ruled(padded, "pad constant_pad_nd"),
}
"""Rules by the name of the operation."""
