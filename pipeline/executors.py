"""Shards over workers: in this process, or over Ray actors with back-pressure and retries."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from pipeline.ledger import ShardReport
from pipeline.shipping import Packed, unpack
from pipeline.worker import ActorWorker, Assignment, ShardWorker
from schemas.errors import WorkError
from schemas.layout import ShardStatus

_CALLS_IN_FLIGHT = 2
_CALL_SECONDS = 0.25
_MOST_SHARDS_PER_CALL = 64
_FAILED_STARTS_ALLOWED = 3
_LOOK_SECONDS = 1.0
_COLOURS = re.compile("\x1b\\[[0-9;]*m")


class Executor(Protocol):
    """Evaluates shards and reports each exactly once, in any order."""

    def run(self, shards: Iterable[int]) -> Iterator[ShardReport | None]:
        """Reports as they come; None now and then, so that the caller can keep time."""
        ...


class SerialExecutor:
    """Evaluates in the driver's own process."""

    def __init__(self, assignment: Assignment, packed: list[Packed]) -> None:
        # Put together from its parts as on Ray, so that the bits are the same.
        self._worker = ShardWorker(assignment, lambda replicate: unpack(packed[replicate]))

    def run(self, shards: Iterable[int]) -> Iterator[ShardReport | None]:
        """Report shard after shard."""
        for shard in shards:
            yield self._worker.evaluate(shard, 1)


@dataclass
class _Call:
    """Shards, with their attempts, that an actor was asked for in one call."""

    shards: list[tuple[int, int]]
    since: float
    alone: bool


@dataclass
class _Actor:
    handle: Any
    number: int
    ready: bool = False
    calls: dict[Any, _Call] = field(default_factory=dict)
    per_call: int = 1


class RayExecutor:
    """Evaluates on Ray actors: one call running and one waiting on each, dead ones replaced.

    A dying worker takes replies with it, so it cannot be known which of its shards it was busy
    with. All of them become suspects, free of charge, and each is tried again with a worker to
    itself; a death then is that shard's own and is charged to it. A worker that is silent for
    `shard_timeout` seconds a shard is killed and replaced.
    """

    def __init__(
        self,
        assignment: Assignment,
        packed: list[Packed],
        *,
        resources: dict[str, Any],
        retries: int,
        shard_timeout: float,
    ) -> None:
        import ray

        self._ray = ray
        self._assignment = assignment
        self._retries = retries
        self._timeout = shard_timeout
        # Kept here: Ray drops an object when the driver's last reference goes.
        self._references = [ray.put(part) for part in packed]
        # A dead actor is replaced here, not restarted by Ray: its queue must not be lost with it.
        self._remote: Any = ray.remote(max_restarts=0, **resources)(ActorWorker)
        self._actors: list[_Actor] = []
        self._owners: dict[Any, _Actor] = {}
        self._suspects: deque[tuple[int, int]] = deque()
        self._failed_starts = 0
        self._started = 0

    def run(self, shards: Iterable[int]) -> Iterator[ShardReport | None]:
        """Report shards as they are done, the failed ones with their errors."""
        source = ((shard, 1) for shard in shards)
        workers = self._assignment.plan.workers
        try:
            self._actors = [self._start() for _ in range(workers)]
            while True:
                for actor in self._actors:
                    self._feed(actor, source)
                if not any(actor.calls for actor in self._actors) and not self._suspects:
                    following = next(source, None)
                    if following is None:
                        return
                    # No actor is ready yet: kept for the first that is.
                    self._suspects.append(following)
                yield from self._collect()
        finally:
            for actor in self._actors:
                self._ray.kill(actor.handle)

    def _start(self) -> _Actor:
        handle = self._remote.remote(self._assignment, self._references, self._started)
        actor = _Actor(handle, self._started)
        self._started += 1
        self._owners[handle.ping.remote()] = actor
        return actor

    def _feed(self, actor: _Actor, source: Iterator[tuple[int, int]]) -> None:
        while actor.ready and len(actor.calls) < _CALLS_IN_FLIGHT:
            if any(call.alone for call in actor.calls.values()):
                return
            alone = bool(self._suspects)
            if alone and actor.calls:
                return
            shards = [self._suspects.popleft()] if alone else list(islice(source, actor.per_call))
            if not shards:
                return
            reference = actor.handle.evaluate.remote(shards)
            actor.calls[reference] = _Call(shards, time.monotonic(), alone)
            self._owners[reference] = actor

    def _collect(self) -> Iterator[ShardReport | None]:
        done, _ = self._ray.wait(list(self._owners), num_returns=1, timeout=_LOOK_SECONDS)
        for reference in done:
            # A death found meanwhile has already settled all calls of its actor.
            if reference in self._owners:
                yield from self._settle(reference)
        self._replace_silent()
        yield None

    def _settle(self, reference: Any) -> Iterator[ShardReport]:  # noqa: ANN401 - an ObjectRef
        actor = self._owners[reference]
        try:
            reports = self._ray.get(reference)
        except self._ray.exceptions.RayActorError as death:
            yield from self._bury(actor, death)
            return
        except self._ray.exceptions.RayTaskError as error:
            raise WorkError(f"a worker cannot work: {error.cause}") from None
        del self._owners[reference]
        if reports is None:
            actor.ready = True
            self._failed_starts = 0
            return
        call = actor.calls.pop(reference)
        now = time.monotonic()
        self._pace(actor, (now - call.since) / len(call.shards))
        for waiting in actor.calls.values():
            waiting.since = now
        yield from reports

    def _pace(self, actor: _Actor, seconds_per_shard: float) -> None:
        wanted = int(_CALL_SECONDS / max(seconds_per_shard, 1e-6))
        actor.per_call = max(1, min(_MOST_SHARDS_PER_CALL, wanted, actor.per_call * 2))

    def _bury(self, actor: _Actor, death: Exception) -> Iterator[ShardReport]:
        """Replace a dead actor; a shard is charged only if it had the actor to itself."""
        if not actor.ready:
            self._failed_starts += 1
            if self._failed_starts > _FAILED_STARTS_ALLOWED + self._assignment.plan.workers:
                raise WorkError(f"workers die before they are ready: {_reason(death)}")
        for owned in [ref for ref, owner in self._owners.items() if owner is actor]:
            del self._owners[owned]
        self._ray.kill(actor.handle)
        self._actors[self._actors.index(actor)] = self._start()
        for call in actor.calls.values():
            for shard, attempt in call.shards:
                if not call.alone:
                    self._suspects.append((shard, attempt))
                elif attempt <= self._retries:
                    self._suspects.append((shard, attempt + 1))
                else:
                    error = f"the worker died on it {attempt} times: {_reason(death)}"
                    yield ShardReport(
                        shard, ShardStatus.FAILED, attempt, worker=actor.number, error=error
                    )

    def _replace_silent(self) -> None:
        """Kill actors whose running call is overdue; their death then arrives as any other."""
        now = time.monotonic()
        for actor in self._actors:
            first = next(iter(actor.calls.values()), None)
            if first and now - first.since > self._timeout * len(first.shards):
                self._ray.kill(actor.handle)
                first.since = now


def _reason(death: Exception) -> str:
    """One line of Ray's account: the exception of a failed start, or how the process ended."""
    lines = [line.strip() for line in _COLOURS.sub("", str(death)).splitlines() if line.strip()]
    raised_at_start = "creation task" in lines[0]
    return lines[-1 if raised_at_start else 0][:300]
