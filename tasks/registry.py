"""What a task is, and how a spec's parameters become a landscape.

A task's module is imported only when the task is used, and its parameter model lives apart from
anything that needs torch, so that listing and validating tasks stays quick.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import SpecError, listing, suggestion
from schemas.messages import first_complaint
from schemas.scan import ScanSpec
from schemas.study import Claim, Study

if TYPE_CHECKING:
    from tasks.landscape import Landscape


class Progress(Protocol):
    """Receives how far a step of the build has come; `total` is in the unit of `done`."""

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """`done` of `total` units of a step; `note` is shown beside it."""
        ...


def silent(step: str, done: int, total: int, note: str = "") -> None:
    """A Progress that shows nothing."""


class Parameters(BaseModel):
    """Base of every task's parameters: unknown keys, NaN and inf are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class BuildContext:
    """What a builder gets beside its parameters.

    Attributes:
        z: number of axes of the scan; None for starts in the space of all parameters, for which the
            section is `tasks.section.whole_section`.
        seed: seed of this replicate; every random choice follows from it.
        splits: the splits the scan evaluates; a builder offers at least these or refuses.
        base: directory against which paths in the parameters are resolved.
        cache: directory for what is costly to build, such as trained networks; None keeps nothing.
        train: False builds the same shapes untrained, for a plan's calibration.
        progress: told of long steps.
    """

    z: int | None
    seed: int
    splits: tuple[str, ...]
    base: Path = field(default_factory=Path)
    cache: Path | None = None
    train: bool = True
    progress: Progress = silent

    @property
    def axes(self) -> int:
        """The number of axes, for a task that has no multi-start; SpecError for starts."""
        if self.z is None:
            raise SpecError("starts: this task is scanned along axes; give axes instead")
        return self.z


@dataclass(frozen=True)
class Task:
    """A registered task. `parameters`, `build` and `claims` are `module:name`, imported on use.

    `claims` makes the claims, on a scan named `scan`, that a single scan of the task can decide.
    `trains` says that a build trains networks: those of several replicates are then built at once,
    on the workers. Their bits must not depend on the number of threads, and they have no
    trajectories.
    """

    name: str
    summary: str
    source: str
    parameters: str
    build: str
    claims: str | None = None
    trains: bool = False

    def parameter_model(self) -> type[Parameters]:
        """The pydantic model of the task's parameters."""
        return cast("type[Parameters]", _imported(self.parameters))

    def builder(self) -> Callable[[Any, BuildContext], Landscape]:
        """The function (parameters, context) → Landscape."""
        return cast("Callable[[Any, BuildContext], Landscape]", _imported(self.build))

    def claims_on(self, spec: ScanSpec) -> tuple[Claim, ...]:
        """The claims that one scan of this task decides."""
        if self.claims is None:
            return ()
        return cast("Callable[[ScanSpec], tuple[Claim, ...]]", _imported(self.claims))(spec)

    def parse(self, raw: Mapping[str, Any]) -> Parameters:
        """Validated parameters; SpecError names the field that is wrong."""
        model = self.parameter_model()
        try:
            return model.model_validate(dict(raw))
        except ValidationError as error:
            raise SpecError(f"parameters.{first_complaint(error, model)}") from None


@dataclass(frozen=True)
class StudyEntry:
    """A registered study. `module` is `module:name` of the function quick → Study."""

    name: str
    summary: str
    module: str

    def build(self, quick: bool) -> Study:
        """The study, at its full or its quick sizes."""
        return cast("Callable[[bool], Study]", _imported(self.module))(quick)


def _imported(path: str) -> object:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def find_task(tasks: Mapping[str, Task], name: str) -> Task:
    """The task of that name; SpecError with the nearest one otherwise."""
    if name not in tasks:
        raise SpecError(
            f"task: got {name!r}; expected one of {listing(tasks)}{suggestion(name, tasks)}"
        )
    return tasks[name]


def find_study(studies: Mapping[str, StudyEntry], name: str) -> StudyEntry:
    """The study of that name; SpecError with the nearest one otherwise."""
    if name not in studies:
        raise SpecError(
            f"study: got {name!r}; expected one of {listing(studies)}{suggestion(name, studies)}"
        )
    return studies[name]


def spec_schema(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """The JSON Schema of a spec, with each task's own parameters where that task is named."""
    schema = ScanSpec.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["properties"]["task"]["enum"] = list(tasks)
    definitions = schema.setdefault("$defs", {})
    schema["allOf"] = []
    for task in tasks.values():
        own = task.parameter_model().model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(own.pop("$defs", {}))
        schema["allOf"].append(
            {
                "if": {"properties": {"task": {"const": task.name}}},
                "then": {"properties": {"parameters": own}},
            }
        )
    return schema


def normalised(spec: ScanSpec, tasks: Mapping[str, Task]) -> ScanSpec:
    """The spec with its task's parameters validated and their defaults filled in."""
    parameters = find_task(tasks, spec.task).parse(spec.parameters)
    return spec.model_copy(update={"parameters": parameters.model_dump(mode="json")})
