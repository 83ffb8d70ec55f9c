"""What a spec's `data:` may be. Importing this module imports no torch.

A built-in set by name; one source, from which the splits follow; or one source for each split.
The options (`samples`, `normalise`, `transform`) stand beside the source, or beside the splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.errors import listing, suggestion
from tasks.registry import Parameters
from tasks.sources.kinds import (
    ArrayData,
    ArraySource,
    BuiltInData,
    BuiltInName,
    FactoryData,
    FactorySource,
    FileData,
    FileSource,
    FolderData,
    FolderSource,
    HuggingFaceData,
    HuggingFaceSource,
    OneSourceOptions,
    Options,
    TorchvisionData,
    TorchvisionSource,
)

AnySource: TypeAlias = (
    FileSource | ArraySource | FolderSource | TorchvisionSource | HuggingFaceSource | FactorySource
)

# The field that tells the kinds apart. Arrays have no such field and come last.
_SPLIT_KINDS: Mapping[str, type[Parameters]] = {
    "file": FileSource,
    "folder": FolderSource,
    "torchvision": TorchvisionSource,
    "huggingface": HuggingFaceSource,
    "factory": FactorySource,
    "inputs": ArraySource,
}
_KINDS: Mapping[str, type[Parameters]] = {
    "name": BuiltInData,
    "file": FileData,
    "folder": FolderData,
    "torchvision": TorchvisionData,
    "huggingface": HuggingFaceData,
    "factory": FactoryData,
    "inputs": ArrayData,
}
_BUILT_IN = ("digits", "mnist-subset")


def _split_source(value: object) -> object:
    if isinstance(value, tuple(_SPLIT_KINDS.values())):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"got {value!r}; expected a source, such as {{file: train.npz}}")
    kind = _kind(value, _SPLIT_KINDS)
    if kind is None:
        raise _no_kind(value, _SPLIT_KINDS)
    return _validated(value, _SPLIT_KINDS[kind])


SplitSource = Annotated[AnySource, BeforeValidator(_split_source)]


class SplitsData(Options):
    """One source for each split; every further key is the name of a split."""

    __pydantic_extra__: dict[str, SplitSource]
    model_config: ClassVar = {"extra": "allow", "frozen": True}

    @property
    def sources(self) -> dict[str, AnySource]:
        """The source of each split."""
        return dict(self.__pydantic_extra__)


def _data(value: object) -> object:
    if isinstance(value, (*_KINDS.values(), SplitsData)):
        return value
    if isinstance(value, str):
        if value not in _BUILT_IN:
            raise ValueError(
                f"got {value!r}; expected {listing(_BUILT_IN)} or a mapping with one of "
                f"{listing(_KINDS)}{suggestion(value, _BUILT_IN)}"
            )
        return BuiltInData.model_validate({"name": value})
    if not isinstance(value, Mapping):
        raise ValueError(f"got {value!r}; expected a name, or a mapping such as {{file: data.npz}}")
    kind = _kind(value, _KINDS)
    if kind is not None:
        return _validated(value, _KINDS[kind])
    splits = [key for key in value if key not in Options.model_fields]
    if not splits:
        raise _no_kind(value, _KINDS)
    if "test_fraction" in splits and not isinstance(value["test_fraction"], Mapping):
        message = "stands beside a source for all splits; leave it out where each has its own"
        raise _at("test_fraction", value["test_fraction"], message)
    for key in splits:
        if not isinstance(value[key], Mapping) and not isinstance(value[key], Parameters):
            words = sorted({*_KINDS, *OneSourceOptions.model_fields})
            raise _at(
                key,
                value[key],
                f"got {value[key]!r}; expected one of the fields {listing(words, 16)}, or a split "
                f"with its source, such as {{file: train.npz}}{suggestion(key, words)}",
            )
    return SplitsData.model_validate(dict(value))


def _kind(value: Mapping[str, object], kinds: Mapping[str, object]) -> str | None:
    # A mapping under such a name is a split of that name, and its source.
    named = [key for key in kinds if key in value and not isinstance(value[key], Mapping)]
    given = [key for key in named if key != "inputs"] or named
    if len(given) > 1:
        raise ValueError(f"got {listing(given)} together; keep one, which names the source")
    return given[0] if given else None


def _no_kind(value: Mapping[str, object], kinds: Mapping[str, object]) -> Exception:
    near = "".join(filter(None, (suggestion(key, kinds) for key in list(value)[:8])))
    given = f"the fields {listing(map(str, value))}" if value else "no fields"
    return ValueError(
        f"got {given}; expected one of {listing(kinds)}, which names the source{near}"
    )


def _validated(value: Mapping[str, object], model: type[Parameters]) -> Parameters:
    for key in value:
        if key not in model.model_fields:
            belongs = "; it stands beside the splits" if key in Options.model_fields else ""
            raise _at(
                key,
                value[key],
                f"unknown field{belongs}; expected one of {listing(model.model_fields, 16)}"
                f"{'' if belongs else suggestion(key, model.model_fields)}",
            )
    return model.model_validate(dict(value))


def _at(key: object, value: object, message: str) -> ValidationError:
    """A complaint about one field, which pydantic reports under the place of the whole."""
    detail = PydanticCustomError("value_error", "{error}", {"error": message})
    where = (str(key),)
    return ValidationError.from_exception_data(
        "data", [InitErrorDetails(type=detail, loc=where, input=value)]
    )


AnyData: TypeAlias = (
    BuiltInData
    | FileData
    | ArrayData
    | FolderData
    | TorchvisionData
    | HuggingFaceData
    | FactoryData
    | SplitsData
)
DataParameters: TypeAlias = Annotated[
    AnyData, BeforeValidator(_data, json_schema_input_type=BuiltInName | AnyData)
]
"""A field of a parameter model that takes any form of `data:`."""
