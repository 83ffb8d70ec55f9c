"""Paths from the first layer to skip units, and the patches they come from, by brute force."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from tasks.skips.assumption import check_assumption
from tasks.skips.patches import distinct_patches
from tasks.skips.reach import reach
from tasks.skips.wrapper import with_skips
from tests.test_tasks.test_skips_assumption import IMAGES, ROWS, convolutional, dense, softplus


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(deadline=None, max_examples=40)
@given(
    groups=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    padding=st.sampled_from([0, 1, 2, "same", "valid"]),
    seed=st.integers(0, 99),
)
@example(groups=1, kernel=2, stride=1, dilation=1, padding="same", seed=0)
def test_patches_are_what_a_convolution_sees(groups, kernel, stride, dilation, padding, seed):
    stride = 1 if padding == "same" else stride
    layer = nn.Conv2d(2, 4, kernel, stride, padding, dilation, groups, dtype=torch.float64)
    random = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (3, 2, 6, 5), generator=random).double() - 0.0
    # Weights with which no two patches of zeros and ones give the same sum.
    size = layer.weight[0].numel()
    powers = (2.0 ** torch.arange(size, dtype=torch.float64)).view(layer.weight[0].shape)
    with torch.no_grad():
        layer.weight.copy_(powers.expand_as(layer.weight))
        layer.bias.zero_()
        sums = layer(x)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = torch.stack([sums[a] != sums[b] for a, b in pairs]).all(dim=0)
    assert torch.equal(distinct_patches(layer, x), expected)
    flat = nn.Conv1d(2, 4, kernel, stride, padding, dilation, groups)
    rows = distinct_patches(flat, x[..., 0])
    wide = nn.Conv2d(2, 4, (kernel, 1), stride, padding if isinstance(padding, str) else
                     (padding, 0), (dilation, 1), groups)  # fmt: skip
    assert torch.equal(rows, distinct_patches(wide, x[..., :1])[..., 0])


def test_zero_has_one_sign():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])
    assert not bool(distinct_patches(nn.Linear(2, 3), x).any())
    assert bool(distinct_patches(nn.Linear(2, 3), x[1:]).all())


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.floats(0, 1), st.integers(0, 99))
def test_free_paths_of_dense_networks(widths, share, seed):
    total = sum(widths)
    units = 1 + int(share * (total - 1))
    model = with_skips(dense(softplus, *widths), ROWS[:2], units=units, seed=seed)
    taken = {(int(tap.node) // 2, unit) for tap in model.taps for unit in tap.units.tolist()}

    def free(layer, unit):
        below = [(layer - 1, one) for one in range(widths[layer - 1])]
        return layer == 0 or any(one not in taken and free(*one) for one in below)

    places = reach(model, ROWS)
    assert places.free.tolist() == [free(*place) for place in sorted(taken)]
    assert places.free_distinct.equal(places.free)
    assert bool(places.distinct.all())
    assert len(set(places.biases.tolist())) == units


class Branches(nn.Module):
    """Two branches, each from half of the numbers, and units that see both."""

    def __init__(self, how, units=4):
        super().__init__()
        self.one, self.two = nn.Linear(3, 4), nn.Linear(3, 4)
        self.three = nn.Linear(8 if how == "joined" else 4, units)
        self.act_one, self.act_two, self.act = softplus(), softplus(), softplus()
        self.how = how

    def forward(self, x):
        one, two = self.act_one(self.one(x[:, :3])), self.act_two(self.two(x[:, 3:]))
        if self.how == "joined":
            return self.act(self.three(torch.cat([one, two], dim=1)))
        return self.act(self.three(one + two if self.how == "one first" else two + one))


@pytest.mark.parametrize("how", ["one first", "two first", "joined"])
def test_units_that_see_two_branches(how):
    x = ROWS.clone()
    x[3, :3] = x[7, :3]
    found = reach(with_skips(Branches(how), x, after=["act"]), x)
    assert bool((found.free & found.distinct & found.free_distinct).all())
    found = reach(with_skips(Branches(how), x, after=["act_one", "act"]), x)
    # What is added to a skip unit is never free of it.
    assert found.free.tolist() == [True] * 4 + [how == "joined"] * 4
    assert found.distinct.tolist() == [False] * 4 + [True] * 4
    assert found.free_distinct.tolist() == [False] * 4 + [how == "joined"] * 4
    assert found.first == (4, 8)


def test_a_path_must_be_free_and_from_distinct_patches_at_once():
    x = ROWS.clone()
    x[3, :3] = x[7, :3]
    model = with_skips(Branches("joined", 25), x, after=["act_two", "act"])
    findings = {finding.part: finding for finding in check_assumption(model, x)}
    assert findings["units"].met
    assert findings["patches"].met is False
    assert findings["patches"].reason.startswith("4 such paths from distinct patches for 20")


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(0, 1), st.integers(0, 99))
def test_paths_of_convolutions(kernel, stride, padding, seed):
    second = nn.Conv2d(4, 4, kernel, stride, padding, groups=2)
    network = convolutional(second, softplus(), channels=4, activation=softplus)
    model = with_skips(network, IMAGES[:2], units=8, seed=seed)
    images = IMAGES.clone()
    images[1, :, :5, :5] = images[0, :, :5, :5]
    distinct = distinct_patches(network[0], images)
    units = {tap.node: tap.units for tap in model.taps}
    taken, above = (units.get(name, torch.arange(0)) for name in ("1", "3"))
    free = torch.ones_like(distinct)
    free[taken // 36] = False
    found = reach(model, images)
    assert found.first == (int(distinct.sum()), distinct.numel())
    for sheet, first, passing in (
        (found.free, torch.ones_like(distinct), free),
        (found.distinct, distinct, distinct),
        (found.free_distinct, distinct, distinct & free),
    ):
        ones = torch.ones(4, 2, kernel, kernel)
        seen = functional.conv2d(passing[None].float(), ones, None, stride, padding, 1, 2) > 0
        assert sheet.equal(torch.cat([first.flatten()[taken], seen.flatten()[above]]))
    channels = torch.cat([taken // 36, 4 + above // (seen[0, 0].numel())])
    assert found.biases.equal(channels)
