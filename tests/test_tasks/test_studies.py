"""Every study at both sizes: valid specs; claims with sources, hypotheses and controls."""

import re

import pytest

from schemas.study import Outcome
from tasks import STUDIES, TASKS, normalised

# The theorems of the one, and counts of subspaces, suppose nothing that a scan could show.
WITHOUT_HYPOTHESES = {"patterns", "symmetry"}
PAPER = re.compile(r"^.*?\b(?:19|20)\d\d\b")


@pytest.fixture(scope="module", params=[True, False], ids=["quick", "full"])
def quick(request):
    return request.param


@pytest.fixture(scope="module", params=STUDIES)
def study(request, quick):
    return STUDIES[request.param].build(quick)


def test_its_name_and_words_are_given(study):
    assert STUDIES[study.name].name == study.name
    assert study.summary.endswith(".")


def test_its_specs_are_those_of_registered_tasks(study, quick):
    assert study.scans
    for name, spec in study.scans.items():
        assert re.fullmatch(r"[a-z0-9-]+", name), "it names a store"
        assert normalised(spec, TASKS).task == spec.task
        if quick:
            assert spec.compute.workers == 0, name


def test_every_claim_has_its_source_and_every_figure_its_words(study):
    for claim in study.claims:
        assert PAPER.match(claim.source), claim.name
        assert claim.statement
    for figure in study.figures.values():
        assert figure.title
        assert figure.caption.endswith(".")
        assert figure.x_label
        assert figure.y_label


def test_every_claim_says_what_it_supposes(study):
    if study.name not in WITHOUT_HYPOTHESES:
        assert not [claim.name for claim in study.claims if claim.hypothesis is None]


def test_every_papers_claims_have_a_control_that_is_to_be_refuted(study):
    controls = [claim for claim in study.claims if claim.control]
    assert all(claim.expected is Outcome.REFUTED for claim in controls)
    papers = {
        kind: {PAPER.match(claim.source)[0] for claim in study.claims if claim.control is kind}
        for kind in (False, True)
    }
    assert papers[False] <= papers[True]
