"""What is claimed of students of growing width: that training reaches zero loss more often.

The statistics are in `training_measures`. A control is the same claim where its hypothesis is
broken. Şimşek et al. 2021, arXiv:2105.12221, section 5.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.study import Claim
from tasks.symmetry import training_measures as measures
from tasks.symmetry.training_scans import TAUGHT, Training, Trainings, trainings

PAPER = "Şimşek et al. 2021, arXiv:2105.12221, section 5"
REACHED = "trained-to-zero"
TRAINED = "trainings"
SIGNIFICANCE = 0.05
_GROWTH = 0.01
_MOST = 0.5


def training_claims(quick: bool) -> list[Claim]:
    """The claims, the controls among them."""
    sizes = trainings(quick)
    reach = _most_reach(sizes.wider)
    narrow = _most_reach((sizes.narrower,))
    found = [
        *(_agrees(each, each.units, len(sizes.known)) for each in sizes.known),
        _agrees(sizes.narrower, max(measures.KNOWN), len(sizes.known)).as_control(
            "width-3-agrees", f"{sizes.narrower.units} units instead"
        ),
        reach,
        narrow.as_control("narrow-reach-zero", f"with {sizes.narrower.units} units"),
    ]
    return found if quick else [*found, *_growth(sizes)]


def _agrees(training: Training, units: int, cells: int) -> Claim:
    known = measures.KNOWN[units]
    return Claim(
        name=f"{training.name}-agrees",
        statement=f"{units} sigmoid units reach zero loss as often as in {known.runs} other "
        f"trainings, {known.reached} of which did: p-value of the two counts, to be at least "
        f"{SIGNIFICANCE:g}/{cells} as one of {cells} widths",
        source=f"{PAPER}; counts of another implementation of a like protocol",
        statistic=measures.agreement(training.name, known),
        threshold=SIGNIFICANCE / cells,
        sense="at least",
        figure=REACHED,
        hypothesis=measures.as_trained([training], units),
    )


def _most_reach(students: tuple[Training, ...]) -> Claim:
    names = [each.name for each in students]
    return Claim(
        name="wider-reach-zero",
        statement="students with more units than their teacher mostly reach zero loss: share of "
        f"their trainings that end below {measures.ZERO:g}",
        source=PAPER,
        statistic=measures.shares_reached(names),
        threshold=_MOST,
        sense="at least",
        figure=REACHED,
        hypothesis=measures.as_trained(students, TAUGHT + 1),
    )


def _growth(sizes: Trainings) -> list[Claim]:
    widest, longer = sizes.growing[-1], sizes.known[0]
    grows = _more_often(widest, sizes.as_wide, f"{widest.units} sigmoid units")
    same = _more_often(longer, sizes.as_wide, f"{longer.units} units trained for longer")
    return [grows, replace(same, name="longer-reach-more").as_control()]


def _more_often(more: Training, fewer: Training, words: str) -> Claim:
    return Claim(
        name="wide-reach-more",
        statement=f"{words} reach zero loss more often than {fewer.units}, as many as the teacher "
        "has: p-value of the two counts if they did not",
        source=PAPER,
        statistic=measures.no_more_likely(more.name, fewer.name),
        threshold=_GROWTH,
        sense="at most",
        figure=REACHED,
        hypothesis=measures.more_units(more, fewer),
    )
