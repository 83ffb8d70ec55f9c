"""What several tests of the pipeline share."""

import pytest

from pipeline.report import page


@pytest.fixture(scope="module")
def coarse():
    """Few pixels: the tests look at what is drawn, not at how finely."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "RESOLUTION", 50)
        yield
