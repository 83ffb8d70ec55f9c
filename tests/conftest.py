"""One private Ray for the session: it takes seconds to start."""

import cloudpickle
import pytest

from tests import landscapes

# Workers do not see the test folder, so its functions travel whole.
cloudpickle.register_pickle_by_value(landscapes)


@pytest.fixture(scope="session")
def ray_here():
    from pipeline.cluster import ray_session

    with ray_session(address=None, cpus=2, gpus=None, object_store_bytes=128 * 2**20):
        yield
