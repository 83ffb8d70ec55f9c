"""How the layers tie the axes of their weights to those of what flows through them."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import cast

from tasks.alignment.axes import Axis, factor, fix, product, unify
from tasks.alignment.calls import (
    Axes,
    Call,
    Operand,
    Rule,
    Unsupported,
    broadcast,
    optional,
    positions,
    tie,
)


def linear(call: Call) -> Sequence[Axes]:
    """Input (…, in), weight (out, in), bias (out,) → (…, out)."""
    x, weight, bias = call["input"].axes, call["weight"].axes, optional(call, "bias")
    tie(x[-1:], weight[-1:])
    tie(bias, weight[:1] if bias else ())
    return [(*x[:-1], *weight[:-1])]


def convolution(call: Call) -> Sequence[Axes]:
    """Input (…, in, *space), weight (out, in / groups, *kernel), bias (out,) → (…, out, *space)."""
    return _convolution(call, transposed=False)


def transposed_convolution(call: Call) -> Sequence[Axes]:
    """Input (…, in, *space), weight (in, out / groups, *kernel), bias (out,) → (…, out, *space)."""
    return _convolution(call, transposed=True)


def _convolution(call: Call, transposed: bool) -> Sequence[Axes]:
    x, weight, bias = call["input"].axes, call["weight"].axes, optional(call, "bias")
    space, groups = len(weight) - 2, cast("int", call["groups"])
    lead, channels = x[: -space - 1], x[-space - 1]
    grouped = factor(weight[0], groups)
    of_x = factor(channels, groups)
    if grouped is None or of_x is None:
        raise Unsupported
    unify(grouped[0], of_x[0])
    entering, leaving = (grouped[1], weight[1]) if transposed else (weight[1], grouped[1])
    tie([of_x[1]], [entering])
    out = product([grouped[0], leaving])
    tie(bias, [out] if bias else [])
    positions(weight[2:], ())
    return [(*lead, out, *positions(x[len(x) - space :], call.shapes[0][-space:]))]


def channel_norm(call: Call) -> Sequence[Axes]:
    """Batch and instance norm: channels are the second axis; the rest is treated alike."""
    axes = call["input"].axes
    for name in ("weight", "bias", "running_mean", "running_var"):
        tie(optional(call, name), axes[1:2] if optional(call, name) else ())
    return [axes]


def group_norm(call: Call) -> Sequence[Axes]:
    """Channels (groups × members), normalised over the members of each group and all positions."""
    axes = call["input"].axes
    if factor(axes[1], call["num_groups"]) is None:
        raise Unsupported
    return channel_norm(call)


def layer_norm(call: Call) -> Sequence[Axes]:
    """Normalised over the last axes; the weights have the shape of these."""
    axes = call["input"].axes
    for name in ("weight", "bias"):
        own = optional(call, name)
        tie(own, axes[-len(own) :] if own else ())
    return [axes]


def weight_norm(call: Call) -> Sequence[Axes]:
    """v·g/‖v‖, the norm over all axes but `dim`, along which g runs."""
    v, g = call["v"], call["g"]
    broadcast([v, g], v.shape)
    return [v.axes]


def parametric_relu(call: Call) -> Sequence[Axes]:
    """One slope for all, or one for each channel."""
    axes, slope = call.first.axes, call["weight"].axes
    if slope and slope[0].size > 1:
        tie(slope, axes[1:2])
    return [axes]


def pooling(call: Call) -> Sequence[Axes]:
    """Something done to neighbouring positions, or to the picture of each channel."""
    x, spatial = call.first.axes, re.search(r"(\d)d", call.target._schema.name)
    if spatial is None:
        raise Unsupported
    space = int(spatial[1])
    return [
        (*x[: len(x) - space], *positions(x[len(x) - space :], shape[len(shape) - space :]))
        for shape in call.shapes
    ]


def embedding(call: Call) -> Sequence[Axes]:
    """Weight (words, features), indices (…) → (…, features)."""
    weight, indices = call["weight"].axes, call["indices"].axes
    fix(weight[0], "words looked up by number")
    return [(*indices, weight[1])]


def contract(
    operands: Sequence[Axes], labels: Sequence[Sequence[Hashable]], out: Sequence[Hashable]
) -> Axes:
    """Sum over all labels that are not in `out` of the product of the operands."""
    known: dict[Hashable, Axis] = {}
    for axes, names in zip(operands, labels, strict=True):
        for axis, name in zip(axes, names, strict=True):
            if name not in known or known[name].size == 1:
                known[name] = axis
            elif axis.size > 1:
                unify(known[name], axis)
    return tuple(known[name] for name in out)


def matrix_product(call: Call) -> Sequence[Axes]:
    """(…, n, k), (…, k, m) → (…, n, m), also of vectors, also added to something."""
    *added, a, b = call.operands
    left = [*_batch(len(a.axes) - 2), "n", "k"][-max(len(a.axes), 2) :]
    right = [*_batch(len(b.axes) - 2), "k", "m"][-max(len(b.axes), 2) :]
    left = left if len(a.axes) > 1 else ["k"]
    right = right if len(b.axes) > 1 else ["k"]
    longest = _batch(max(len(a.axes), len(b.axes)) - 2)
    out = [*longest, *(["n"] if "n" in left else []), *(["m"] if "m" in right else [])]
    result = contract([a.axes, b.axes], [left, right], out)
    return [broadcast([Operand(result), *added], call.shapes[0])]


def _batch(count: int) -> list[Hashable]:
    return list(range(count, 0, -1))


def einsum(call: Call) -> Sequence[Axes]:
    """Einstein's summation, written out without an ellipsis."""
    inputs, arrow, output = cast("str", call["equation"]).replace(" ", "").partition("->")
    if "." in inputs:
        raise Unsupported
    letters = inputs.replace(",", "")
    out = output if arrow else "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return [contract([operand.axes for operand in call.operands], inputs.split(","), out)]


def attention(call: Call) -> Sequence[Axes]:
    """Query (…, L, E), key (…, S, E), value (…, S, V), mask (…, L, S) → (…, L, V)."""
    query, key, value = (call[name].axes for name in ("query", "key", "value"))
    mask = optional(call, "attn_mask")
    if call["enable_gqa"] or call["dropout_p"] or not len(query) == len(key) == len(value):
        raise Unsupported
    batch = _batch(len(query) - 2)
    if call["is_causal"]:
        positions((query[-2], key[-2]), ())
    labels = [[*batch, "L", "E"], [*batch, "S", "E"], [*batch, "S", "V"]]
    over = [*batch, "L", "S"][len(query) - len(mask) :]
    return [contract([query, key, value, mask], [*labels, over], [*batch, "L", "V"])]


LAYER_RULES: dict[str, Rule] = {
    "linear": linear,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), transposed_convolution
    ),
    **dict.fromkeys(("batch_norm", "instance_norm"), channel_norm),
    "group_norm": group_norm,
    **dict.fromkeys(("layer_norm", "rms_norm"), layer_norm),
    "_weight_norm": weight_norm,
    "prelu": parametric_relu,
    **dict.fromkeys(
        (
            f"{kind}{d}d{suffix}"
            for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
            for d in (1, 2, 3)
            for suffix in ("", "_with_indices")
        ),
        pooling,
    ),
    **dict.fromkeys(
        (
            "upsample_nearest1d",
            "upsample_nearest2d",
            "upsample_nearest3d",
            "upsample_linear1d",
            "upsample_bilinear2d",
            "upsample_bicubic2d",
            "upsample_trilinear3d",
        ),
        pooling,
    ),
    "embedding": embedding,
    **dict.fromkeys(
        ("matmul", "mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv"), matrix_product
    ),
    "einsum": einsum,
    "scaled_dot_product_attention": attention,
}
"""Rules by the name of the operation."""
