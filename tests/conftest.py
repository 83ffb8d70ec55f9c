"""One private Ray for the session: it takes seconds to start."""

from pathlib import Path

import cloudpickle
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import landscapes

ROOT = Path(__file__).parents[1]

# Workers do not see the test folder, so its functions travel whole.
cloudpickle.register_pickle_by_value(landscapes)


class ByFile(LoadScopeScheduling):
    """Each file in one of pytest's processes; all that share the session's Ray in the same."""

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return "ray" if "ray_here" in (ROOT / file).read_text() else file


def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


@pytest.fixture(scope="session")
def ray_here():
    from pipeline.cluster import ray_session

    with ray_session(address=None, cpus=2, gpus=None, object_store_bytes=128 * 2**20):
        yield
