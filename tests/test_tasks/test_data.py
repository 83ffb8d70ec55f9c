"""Data sets, and splits with prescribed label counts."""

import pytest
import torch

from schemas.errors import SpecError
from tasks.data import class_counts, digits, mnist_subset, stratified, with_label_counts
from tasks.patterns.parameters import PatternParameters
from tasks.patterns.splits import SPLITS, make_splits


def splits_of(data, seed=0, kind="mlp"):
    parameters = PatternParameters(
        target={"function": "two-well"}, data=data, network={"kind": kind}
    )
    return make_splits(parameters, SPLITS, seed)


def counts_of(split):
    return class_counts(split.targets, 10)


def test_the_data_sets_are_those_of_their_packages():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    here = digits()
    torch.testing.assert_close(here.images, torch.tensor(bunch.images / 16).float())
    assert here.labels.tolist() == bunch.target.tolist()
    mnist = mnist_subset()
    assert mnist.images.shape == (5000, 28, 28)
    assert class_counts(mnist.labels, 10).tolist() == [500] * 10
    assert (float(mnist.images.min()), float(mnist.images.max())) == (0, 1)


def test_train_and_test_are_disjoint_stratified_and_seeded():
    data = digits()
    train, test = stratified(data, 0)
    assert len(train.labels) + len(test.labels) == len(data.labels)
    joint = torch.cat([train.images, test.images]).flatten(1)
    torch.testing.assert_close(joint.sum(0), data.images.flatten(1).sum(0))
    share = class_counts(test.labels, 10) / class_counts(data.labels, 10)
    assert float((share - 0.2).abs().max()) < 0.01
    again, other = stratified(data, 0)[0], stratified(data, 1)[0]
    assert torch.equal(train.images, again.images)
    assert not torch.equal(train.images, other.images)


@pytest.mark.parametrize("data", ["digits", "mnist-subset"])
def test_other_and_random_have_exactly_the_label_counts_of_train(data):
    splits = splits_of(data)
    for name in ("other", "random"):
        assert counts_of(splits[name]).tolist() == counts_of(splits["train"]).tolist()
        assert splits[name].inputs.shape == splits["train"].inputs.shape
        assert not torch.equal(splits[name].inputs, splits["train"].inputs)
        assert 0 <= float(splits[name].inputs.min()) < float(splits[name].inputs.max()) <= 1


def test_shifted_has_a_clearly_different_marginal():
    splits = splits_of("digits")
    shares = [counts_of(splits[name]) / len(splits[name]) for name in ("train", "shifted")]
    assert float((shares[0] - shares[1]).abs().sum()) > 0.3


def test_a_convolution_gets_images_of_one_channel():
    assert splits_of("digits", kind="cnn")["test"].inputs.shape[1:] == (1, 8, 8)


def test_a_mean_over_areas_keeps_the_mean_brightness():
    data = mnist_subset()
    small = data.resized(7)  # 28 = 4·7, so areas do not overlap
    torch.testing.assert_close(small.images.mean(), data.images.mean())


def test_more_images_than_there_are_is_an_error():
    with pytest.raises(SpecError, match="class 3 has"):
        with_label_counts(digits(), torch.tensor([0, 0, 0, 9999]), 0)


def test_an_unknown_split_is_refused_with_the_nearest_one():
    parameters = PatternParameters(target={"function": "two-well"})
    with pytest.raises(SpecError, match="did you mean 'test'"):
        make_splits(parameters, ("train", "tests"), 0)
