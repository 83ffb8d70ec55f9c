"""Which device, how many workers, and the Ray session that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.compute import Compute
from schemas.errors import PlanError, SpecError

if TYPE_CHECKING:
    from pipeline.shipping import Packed

_LEAST_OBJECT_STORE = 128 * 2**20
_SHARED_OBJECT_STORE = 512 * 2**20
"""Of a Ray that starts before it is known what is shipped; what does not fit, Ray keeps on disk."""
_MOST_AUTO_LOCAL_WORKERS = 256

# Large temporary buffers (convolutions) otherwise go back to the system after every operation.
_WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "67108864",
}


@dataclass(frozen=True)
class Workforce:
    """How many workers there will be, on which device, and what each asks of Ray."""

    workers: int
    device: str
    resources: dict[str, Any] = field(default_factory=dict)


def local_device(compute: Compute) -> str:
    """The device that `compute.device` means on this machine."""
    return _resolved(compute, _local_gpus() > 0)


def local_workers(compute: Compute) -> int:
    """The workers that `compute.workers` means on this machine."""
    if compute.workers != "auto":
        return compute.workers
    slots = (os.cpu_count() or 1) // compute.cpus_per_worker
    return max(1, min(_MOST_AUTO_LOCAL_WORKERS, slots))


@contextmanager
def session(
    compute: Compute, packed: list[Packed] | None, address: str | None, dashboard: bool
) -> Iterator[Workforce]:
    """The workforce of a scan, with Ray running while it is in use; without Ray for 0 workers.

    `packed` is what will be shipped to the workers, None if that is not known yet.
    """
    if compute.workers == 0:
        yield Workforce(0, local_device(compute))
        return
    from pipeline.cluster import ray_session

    cpus = local_workers(compute) * compute.cpus_per_worker
    space = _SHARED_OBJECT_STORE
    if packed is not None:
        space = max(_LEAST_OBJECT_STORE, 2 * sum(part.nbytes for part in packed))
    with ray_session(
        address=address, cpus=cpus, gpus=None, object_store_bytes=space, dashboard=dashboard
    ):
        yield _on_ray(compute)


@contextmanager
def shared_ray(computes: Sequence[Compute]) -> Iterator[None]:
    """One private Ray for several scans, each of which finds it running; none if none needs it."""
    cpus = [local_workers(each) * each.cpus_per_worker for each in computes if each.workers != 0]
    if not cpus:
        yield
        return
    from pipeline.cluster import ray_session

    with ray_session(
        address=None, cpus=max(cpus), gpus=None, object_store_bytes=_SHARED_OBJECT_STORE
    ):
        yield


def _on_ray(compute: Compute) -> Workforce:
    import ray

    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    device = _resolved(compute, there.get("GPU", 0) > 0)
    gpus = compute.gpus_per_worker
    if gpus is None:
        gpus = 1.0 if device == "cuda" else 0.0
    slots = int(there.get("CPU", 1)) // compute.cpus_per_worker
    if gpus:
        slots = min(slots, int(there["GPU"] / gpus))
    if slots < 1:
        raise PlanError(
            f"compute.cpus_per_worker: {compute.cpus_per_worker} CPUs and {gpus:g} GPUs a worker; "
            f"Ray has {there.get('CPU', 0):g} and {there.get('GPU', 0):g} in all; ask for less"
        )
    workers = slots if compute.workers == "auto" else compute.workers
    resources = {
        "num_cpus": compute.cpus_per_worker,
        "num_gpus": gpus,
        "runtime_env": {"env_vars": _WORKER_ENVIRONMENT},
    }
    return Workforce(workers, device, resources)


def _resolved(compute: Compute, has_gpu: bool) -> str:
    if compute.device == "cuda" and not has_gpu:
        raise SpecError("compute.device: got 'cuda'; no GPU was found; use auto or cpu")
    if compute.device == "auto":
        return "cuda" if has_gpu and compute.gpus_per_worker != 0 else "cpu"
    return compute.device


def _local_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
