"""What every option is checked by, and what is said where it is not valid: one line for each."""

import difflib
import re
import types
import typing
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from resgan.runs import plain

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class OptionsError(ValueError):
    """One line for each option that is not valid: its name, its value, and what is."""


def option(meaning: str, **limits: Any) -> Any:
    return Field(description=meaning, **limits)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


MOST_SEEDS = 10_000_000

Model = TypeVar("Model", bound=Options)


def check(model: type[Model], values: dict[str, Any]) -> Model:
    """The values as a `model`. Raises OptionsError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found: dict[str, list[str]] = {}  # an option of several types has a complaint of each
        for option, expected in (describe(item, model) for item in error.errors()):
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
    "literal_error": "valid are {expected}",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "missing": "is missing",
}


def describe(error: Any, model: type[Options]) -> tuple[str, str]:
    """One of pydantic's errors as (option=value, what is expected)."""
    # The location of a variant holds its tag, and of a union the name of its type: neither is typed by a user.
    steps = [step for step in error["loc"] if isinstance(step, str)]
    name = ".".join(s for k, s in enumerate(steps) if not (k == 1 and s in tags(model)) and not _is_type(s))
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return "", f"{name}.{context['error']}" if name else str(context["error"])
    if error["type"] == "extra_forbidden":
        variant = next((s for k, s in enumerate(steps) if k == 1 and s in tags(model)), None)
        return name, f"there is no such option here{did_you_mean(name, names(model, variant=variant))}"
    if error["type"] == "union_tag_invalid":
        return f"{name}={context['tag']}", f"valid are {context['expected_tags']}"
    if error["type"] in ("model_type", "model_attributes_type", "union_tag_not_found"):
        return name, "is a group of options; choose one of its files, see --help"
    expected: str = EXPECTED.get(error["type"]) or (error["msg"][0].lower() + error["msg"][1:])
    return (name if error["type"] == "missing" else f"{name}={plain(error['input'])}"), expected.format(**context)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    group, _, leaf = name.rpartition(".")
    options = [option.rpartition(".") for option in known if option != name]
    beside = [last for first, _, last in options if group and first == group]
    if beside:  # in a group that is there, only its own: disc.blocks is no help to who typed generator.blocks
        close = nearest(leaf, beside)
        close = close and f"{group}.{close}"
    else:
        close = nearest(name, ["".join(parts) for parts in options])
    return f"; did you mean {close}?" if close else "; see --help"


def _is_type(step: str) -> bool:
    return "[" in step or step in ("int", "float", "str", "constrained-int", "constrained-float", "list")


def tags(model: type[Options]) -> set[str]:
    """The names of all variants of its groups."""
    parts = [part for field in model.model_fields.values() for part in _members(field.annotation)]
    groups = [part for part in parts if isinstance(part, type) and issubclass(part, Options)]
    return {tag for group in groups for tag in choices(group.model_fields.get("name"))}


def nearest(name: str, known: list[str]) -> str | None:
    """The known option most like a mistyped one."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return found[0] if found else None


@cache
def names(model: type[Options], prefix: str = "", *, variant: str | None = None) -> dict[str, str]:
    """Every option of a model, dotted, with its meaning: for --help and for the nearest right name.

    variant: of the kinds of a group, the one of this name only.
    """
    found: dict[str, str] = {}
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        models = [t for t in _members(field.annotation) if isinstance(t, type) and issubclass(t, Options)]
        chosen = [part for part in models if variant in choices(part.model_fields.get("name"))]
        for part in chosen or models:
            found |= {k: v for k, v in names(part, f"{prefix}{name}.").items() if k not in found}
        if not models:
            valid = choices(field)
            found[prefix + name] = f"{field.description}" + (f" ({', '.join(map(plain, valid))})" if valid else "")
    return found


def choices(field: Any) -> tuple[Any, ...]:
    """The values of an option, or of its list's entries, that has a fixed set of them."""
    annotation = getattr(field, "annotation", None)
    if typing.get_origin(annotation) is list:
        annotation = typing.get_args(annotation)[0]
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _members(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def parse_seeds(text: str) -> list[int]:
    """ "0,2,5-7" -> [0, 2, 5, 6, 7]. Raises OptionsError."""
    seeds: list[int] = []
    for part in str(text).split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last or last - first + len(seeds) >= MOST_SEEDS or last >= 2**63:
            raise OptionsError(f"seeds={text}: expected numbers and ranges, e.g. 0-63 or 1,5,8-12")
        seeds += range(first, last + 1)
    return seeds
