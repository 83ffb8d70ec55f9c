"""One private Ray for the session: it takes seconds to start."""

import cloudpickle
import pytest

from tests import landscapes

# Workers do not see the test folder, so its functions travel whole.
cloudpickle.register_pickle_by_value(landscapes)


def pytest_collection_modifyitems(items):
    """What starts Ray or kills processes runs in one worker, every other file in any."""
    for item in items:
        alone = "integration" in item.path.parts or "ray_here" in item.fixturenames
        group = "processes" if alone else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def ray_here():
    from pipeline.cluster import ray_session

    with ray_session(address=None, cpus=2, gpus=None, object_store_bytes=128 * 2**20):
        yield
