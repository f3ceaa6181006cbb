"""Check every option, and report each invalid one in a line."""

import difflib
import types
import typing
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData, format_value, shortened
from resgan.options.conf import files_of
from resgan.options.other_names import (
    group_called,
    is_known,
    is_name_elsewhere,
    names_elsewhere,
    options_called,
    value_called,
)


@dataclass(frozen=True)
class FileOf:
    """Annotate a text that must be the name of a file in a group of conf/."""

    group: str

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, name: str) -> str:
        if name not in (valid := files_of(self.group)):
            expected = ", ".join(map(repr, valid[:-1])) + f" or {valid[-1]!r}"
            raise PydanticCustomError("literal_error", "expected {expected}", {"expected": expected})
        return name


def option(meaning: str, **limits: Any) -> Any:
    return Field(description=meaning, **limits)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Options)


def check(model: type[Model], values: PlainData) -> Model:
    """Check the values and return them as a `model`. Raises OptionsError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found: dict[str, list[str]] = {}  # an option of several types has one error per type
        for option, expected in (describe_error(item, model) for item in error.errors()):
            found.setdefault(option, []).append(expected)
        lines = (
            f"{name}: {' or '.join(dict.fromkeys(what)).replace('or expected', 'or')}" if name else what[0]
            for name, what in found.items()
        )
        raise OptionsError("; ".join(lines)) from None


EXPECTED = {
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "string_type": "expected text",
    "string_too_short": "expected a name",
    "list_type": "expected a list, as in [8,16]",
    "too_short": "expected at least {min_length} in the list",
    "too_long": "expected at most {max_length} in the list",
    "literal_error": "expected {expected}",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "missing": "is missing",
}


def describe_error(error: ErrorDetails, model: type[Options]) -> tuple[str, str]:
    """Translate one of pydantic's errors to (option=value, what is expected)."""
    # A location also holds the tag of a variant and the type within a union, which no user types.
    steps = [step for step in error["loc"] if isinstance(step, str)]
    name = ".".join(s for k, s in enumerate(steps) if not (k == 1 and s in tags(model)) and not _is_type(s))
    context = {key: f"{item:g}" if isinstance(item, float) else item for key, item in error.get("ctx", {}).items()}
    if error["type"] == "value_error":
        return "", f"{name}.{context['error']}" if name else str(context["error"])
    if error["type"] == "extra_forbidden":
        variant = next((s for k, s in enumerate(steps) if k == 1 and s in tags(model)), None)
        return name, f"there is no such option here{did_you_mean(name, names(model, variant=variant))}"
    if error["type"] == "union_tag_invalid":
        return f"{name}={context['tag']}", f"expected {context['expected_tags']}"
    if error["type"] in ("model_type", "model_attributes_type", "union_tag_not_found"):
        return name, "is a group of options; choose one of its files, see --help"
    expected: str = EXPECTED.get(error["type"]) or (error["msg"][0].lower() + error["msg"][1:])
    if error["type"] == "missing":
        return name, expected
    ours = value_called(name, format_value(error["input"]))
    hint = f"; did you mean {name}={ours}?" if ours else ""
    return f"{name}={shortened(format_value(error['input']))}", expected.format(**context) + hint


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Say what an unknown option may mean: what another tool calls so, or the nearest of those there are."""
    group, _, leaf = name.rpartition(".")
    if group and not is_known(group, known):
        if (ours := group_called(group)) and is_known(ours, known):
            meant = f"{ours}.{leaf}"
            return f"; did you mean {meant}?" if meant in known else did_you_mean(meant, known)
        near = nearest(name, known)
        return f"; did you mean {near}?" if near else did_you_mean(leaf, known)
    others = [option for option in known if option != name]
    elsewhere = group and any(option.endswith(f".{leaf}") for option in others)
    found, note = (
        ([], "") if elsewhere else options_called(leaf, others)
    )  # disc.blocks is no help after generator.blocks
    if found:
        return f"; use {' or '.join(found)}" + (f" ({note})" if note else "")
    if group:
        if leaf in known:
            return f"; did you mean {leaf}?"
        near = nearest(leaf, [option.removeprefix(f"{group}.") for option in others if option.startswith(f"{group}.")])
        return f"; did you mean {group}.{near}?" if near else "; see --help"
    if is_name_elsewhere(name):  # of an option that this command does not have
        return "; see --help"
    near = nearest(name, [*others, *(option.rpartition(".")[2] for option in others), *names_elsewhere(others)])
    if near is None:
        return "; see --help"
    if near in others:
        return f"; did you mean {near}?"
    meant = [option for option in others if option.endswith(f".{near}")] or options_called(near, others)[0]
    return f"; did you mean {' or '.join(of_networks(meant))}?"


def of_networks(options: list[str]) -> list[str]:
    """Keep both networks' option of a name where both have it, else the first."""
    both = [option for option in options if option.startswith(("generator.", "disc."))]
    return both if len(both) > 1 else options[:1]


def _is_type(step: str) -> bool:
    return "[" in step or step in ("int", "float", "str", "constrained-int", "constrained-float", "list")


def tags(model: type[Options]) -> set[str]:
    """Return the names of all variants of the model's groups."""
    parts = [part for field in model.model_fields.values() for part in _members(field.annotation)]
    groups = [part for part in parts if isinstance(part, type) and issubclass(part, Options)]
    return {str(tag) for group in groups for tag in choices(group.model_fields.get("name"))}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known option most similar to a mistyped one."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


@cache
def names(model: type[Options], *, variant: str | None = None) -> dict[str, str]:
    """Map every option of a model, dotted, to its meaning: for --help, and to suggest the nearest valid name.

    variant: include only the variant of this name in a group that has several.
    """
    return {name: meaning(field) for name, field in fields_of(model, variant=variant).items()}


def meaning(field: FieldInfo) -> str:
    valid = choices(field)
    return f"{field.description}" + (f" ({', '.join(map(format_value, valid))})" if valid else "")


@cache
def fields_of(model: type[Options], prefix: str = "", *, variant: str | None = None) -> dict[str, FieldInfo]:
    """Map every option of a model, dotted, to its field; see `names`."""
    found: dict[str, FieldInfo] = {}
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        models = [t for t in _members(field.annotation) if isinstance(t, type) and issubclass(t, Options)]
        chosen = [part for part in models if variant in choices(part.model_fields.get("name"))]
        for part in chosen or models:
            found |= {k: v for k, v in fields_of(part, f"{prefix}{name}.").items() if k not in found}
        if not models:
            found[prefix + name] = field
    return found


def choices(field: FieldInfo | None) -> tuple[object, ...]:
    """Return the choices of an option, or of its list's entries; empty where they are not a fixed set."""
    for mark in getattr(field, "metadata", ()):
        if isinstance(mark, FileOf):
            return tuple(files_of(mark.group))
    annotation = getattr(field, "annotation", None)
    if typing.get_origin(annotation) is list:
        annotation = typing.get_args(annotation)[0]
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _members(annotation: object) -> tuple[object, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)
