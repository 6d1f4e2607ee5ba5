"""Validate plain types against a pydantic model, with one line for the user that names each key."""

import difflib
import json
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from segtrans.errors import UserError

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], content: object, *, origin: str) -> Model:
    """Validate plain types against any of the models, with the same one-line error.

    Raises:
        UserError: one line that names each key, its value and what is allowed.
    """
    try:
        text = json.dumps(content)
    except (TypeError, ValueError) as error:
        raise UserError(f"{origin}: a value is no plain text or number ({error})") from error
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors()
        # A refused element also makes its list "too short": say the cause alone.
        causes = [problem for problem in problems if problem["type"] != "too_short"] or problems
        lines = [_explain(model, problem) for problem in causes]
        raise UserError(f"{origin}: {'; '.join(lines)}") from None


def validate_field(model: type[BaseModel], name: str, value: object, *, shown: str) -> None:
    """Check one value as a field of a model would; `shown` names it in the error.

    Raises:
        UserError: one line with the value and what is allowed.
    """
    field = model.model_fields[name]
    kind: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(f"{shown} = {value}: {error.errors()[0]['msg']}") from None


def _explain(model: type[BaseModel], problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    value, message = problem["input"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return str(message)  # the model's own checks name key, value and what is allowed
    if problem["type"] == "extra_forbidden":
        return f"{key}: {nearest(str(problem['loc'][-1]), _fields(model, problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if isinstance(value, str) and _is_number(value):
        message += " (in quotes this is text: leave them out)"
    return f"{key} = {json.dumps(value)}: {message}"


def _fields(model: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    for part in place:
        if isinstance(part, int):
            continue  # which of a list's elements
        field = model.model_fields.get(part)
        inner = field and _model_in(field.annotation)
        if inner is None:
            return []
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds: itself, in a list, or null otherwise."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: the nearest known one, and all that are allowed."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown; {hint}allowed: {', '.join(known) or 'none'}"


def parse_object(text: str, *, origin: str) -> dict[str, Any]:
    """A JSON object from its text; `origin` names it in errors.

    Raises:
        UserError: it is no JSON, or no object.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{origin}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{origin}: expected a JSON object, found {text:.40}")
    return content
