"""Lemma 2.1 of Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749."""

from __future__ import annotations

import math

from schemas.errors import SpecError


def zero_error_below(samples: int) -> float:
    """Log 2/N: where the mean cross-entropy of N samples is less, each of them is classified right.

    One sample's loss is then below log 2, and its class has a probability above 1/2. The bound is
    sharp: a tie of two classes, all other samples at loss 0, lies on it.

    Raises:
        SpecError: no samples.
    """
    if samples < 1:
        raise SpecError(f"samples: got {samples}; expected at least 1")
    return math.log(2) / samples
