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
    """Names of the fields at a place below a model."""
    models = [model]
    for part in place:
        fields = [of.model_fields[part] for of in models if part in of.model_fields]
        if fields:
            models = _models_in(fields[0].annotation)
        else:  # the key of a mapping, the number in a list, or which of several models it is
            models = [of for of in models if part in _kinds_of(of)] or models
    return list(models[0].model_fields) if models else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field holds: itself, in a list or mapping, one of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _kinds_of(model: type[BaseModel]) -> tuple[str, ...]:
    """How a model is told from others of a union."""
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


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
