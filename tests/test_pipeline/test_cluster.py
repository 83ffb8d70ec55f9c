"""The private Ray, the errors of joining, and the example clusters as their own tools read them."""

import copy
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import yaml

from pipeline.cluster import ray_session
from schemas import InputError

ROOT = Path(__file__).parents[2]

PRIVATE = """
import json, os
from pathlib import Path
from pipeline.cluster import ray_session

told = {}
try:
    with ray_session(address=None, cpus=2, gpus=2.0, object_store_bytes=100_000_000):
        import ray

        told["resources"] = {n: ray.cluster_resources().get(n) for n in ("CPU", "GPU")}
        told["address"] = ray.get_runtime_context().gcs_address
        with ray_session(address="10.0.0.1:6379", cpus=1, gpus=None, object_store_bytes=0):
            told["inner"] = ray.get_runtime_context().gcs_address
        told["kept"] = ray.is_initialized()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    told["after"] = ray.is_initialized()
told["mode"] = os.environ["RAY_AUTH_MODE"]
told["token file"] = (Path.home() / ".ray" / "auth_token").exists()
print(json.dumps(told))
"""


def load(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.fixture
def config():
    return load("cluster.yaml")


@pytest.fixture
def no_ray(monkeypatch):
    """As if no Ray were initialised in this process; the one of other tests is left alone."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


def join(address):
    with ray_session(address=address, cpus=1, gpus=None, object_store_bytes=0):
        pytest.fail("joined")


def test_a_private_ray_is_quiet_and_ends_with_its_block(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RAY_ADDRESS": "10.0.0.1:6379"}
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRIVATE],
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert process.stderr == ""
    told = json.loads(process.stdout)
    assert told["resources"] == {"CPU": 2, "GPU": 2}
    assert told["address"].startswith("127.0.0.1:")
    assert told["inner"] == told["address"]
    assert told["kept"]
    assert not told["after"]
    assert told["mode"] == "token"
    assert not told["token file"]


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:8265", "ray://127.0.0.1:10001", "somewhere", ":6379", "host:", "host:99999"],
)
def test_what_is_no_address_is_refused(no_ray, address):
    with pytest.raises(InputError, match=re.escape(f"{address}: not the address of a Ray cluster")):
        join(address)


def test_nobody_listening_is_told_at_once(no_ray):
    with pytest.raises(InputError, match=r"^127.0.0.1:1: no Ray cluster to join \(Connection refu"):
        join("127.0.0.1:1")


def test_a_listener_that_is_no_ray_is_not_waited_for_long(no_ray, monkeypatch):
    monkeypatch.setattr("pipeline.cluster._PROBE_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(
            InputError, match=rf"^{address}: no Ray cluster to join .no answer in 2 s"
        ):
            join(address)


def test_a_dashboard_without_a_token_to_open_it_is_refused(no_ray, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    with (
        pytest.raises(InputError, match="get-auth-token"),
        ray_session(address=None, cpus=1, gpus=None, object_store_bytes=0, dashboard=True),
    ):
        pytest.fail("started")


def test_ray_accepts_the_cluster(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    assert prepared["head_node_type"] in prepared["available_node_types"]


def test_ray_would_not_notice_a_typo_in_the_provider(config):
    # So that it is noticed here; the names are those of Ray's schema and of its AWS defaults.
    assert set(config["provider"]) == {"type", "region", "availability_zone", "cache_stopped_nodes"}


def test_every_node_asks_for_a_token_and_the_dashboard_stays_at_home(config):
    head, worker = (config[f"{kind}_start_ray_commands"][-1] for kind in ("head", "worker"))
    for command in (head, worker):
        assert command.index("export RAY_AUTH_MODE=token") < command.index("ray start")
    assert "--dashboard-host=127.0.0.1" in head
    assert "0.0.0.0" not in head + worker
    assert "--ray-client-server-port" not in head
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]
    for node in config["available_node_types"].values():
        assert node["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}


def test_the_checkout_is_installed_and_gpu_workers_come_and_go(config):
    assert config["file_mounts"]["~/cartograd"] == "."
    assert any("-e ~/cartograd" in command for command in config["setup_commands"])
    assert "MALLOC_TRIM_THRESHOLD_" in config["worker_start_ray_commands"][-1]
    gpu = config["available_node_types"]["gpu"]
    assert gpu["resources"]["GPU"] == 1
    assert gpu["min_workers"] < gpu["max_workers"] <= config["max_workers"]
    for node in config["available_node_types"].values():
        assert all(type(count) is int for count in node["resources"].values())


def test_the_kubernetes_job_says_what_matters():
    job = load("examples/cluster/rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert spec["entrypoint"].startswith("cartograd run ")
    assert "--address auto" in spec["entrypoint"]
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["backoffLimit"] > 0
    assert set(yaml.safe_load(spec["runtimeEnvYAML"])) == {"env_vars"}
    cluster = spec["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        assert all(type(value) is str for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_the_examples_agree_on_the_version_of_ray(config):
    (version,) = re.findall(r":(\d+\.\d+\.\d+)-py311", config["docker"]["image"])
    assert load("examples/cluster/rayjob.yaml")["spec"]["rayClusterSpec"]["rayVersion"] == version


def test_the_slurm_script_is_a_shell_script():
    script = ROOT / "examples" / "cluster" / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert "#SBATCH --ntasks-per-node=1\n" in text
    assert "#SBATCH --exclusive\n" in text
    assert "RAY_AUTH_MODE=token\n" in text
    assert "--temp-dir" not in text  # symmetric-run would hand it to the workers too
