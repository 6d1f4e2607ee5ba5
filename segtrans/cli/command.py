"""What every command checks of its paths before it begins."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import typer
from typer.core import TyperCommand

from segtrans.errors import UserError
from segtrans.places import check_file, check_folder

_Function = TypeVar("_Function", bound=Callable[..., Any])
_OUTPUTS = "segtrans.outputs"  # in `meta` of a context
_MAY_BE_PATHS = ("source", "digits", "run_config")  # parameters that take a path or a text


@dataclass(frozen=True)
class _Place:
    """A path of a parameter, as the command line names both."""

    parameter: str
    path: Path
    is_file: bool = False

    @property
    def resolved(self) -> Path:
        return Path(os.path.realpath(self.path))  # as `resolve`, but for loops of links, too


class Command(TyperCommand):
    """A command that refuses empty values, and an output that is another output or an input."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            UserError: a value is empty, which as a path would be the working folder; an output
                cannot be written, or is what another parameter names.
        """
        self._refuse_empty(ctx, args)
        rest = super().parse_args(ctx, args)
        outputs = list(ctx.meta.get(_OUTPUTS, {}).values())
        _check_apart(outputs, list(self._inputs(ctx)))
        return rest

    def _refuse_empty(self, ctx: Any, args: list[str]) -> None:
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in self.params:
            value = given.get(parameter.name)
            if "" in (value if isinstance(value, list | tuple) else [value]):
                raise UserError(f"{_shown(parameter)}: empty; give a value")

    def _inputs(self, ctx: Any) -> Iterator[_Place]:
        types = get_type_hints(self.callback)
        for parameter in self.params:
            name, value = parameter.name, ctx.params.get(parameter.name)
            if not value or name in ctx.meta.get(_OUTPUTS, {}):
                continue
            if name in _MAY_BE_PATHS or Path in (types.get(name), *get_args(types.get(name))):
                for path in value if isinstance(value, list | tuple) else [value]:
                    yield _Place(_shown(parameter), Path(path))


class Commands(typer.Typer):
    """A part of the command line."""

    def command(self, *args: Any, **options: Any) -> Callable[[_Function], _Function]:
        """Register a function as a `Command`."""
        return super().command(*args, cls=Command, **options)


def file_to_write(ctx: typer.Context, param: typer.CallbackParam, path: Path | None) -> Path | None:
    """A callback of an option that names a file to write."""
    if path is not None:
        check_file(path)
        _note_output(ctx, param, path, is_file=True)
    return path


def folder_to_write(ctx: typer.Context, param: typer.CallbackParam, path: Path) -> Path:
    """A callback of an option that names a folder to write to, which may be there or be made."""
    check_folder(path)
    _note_output(ctx, param, path, is_file=False)
    return path


def _note_output(
    ctx: typer.Context, param: typer.CallbackParam, path: Path, *, is_file: bool
) -> None:
    ctx.meta.setdefault(_OUTPUTS, {})[param.name] = _Place(_shown(param), path, is_file)


def _check_apart(outputs: list[_Place], inputs: list[_Place]) -> None:
    for first, second in combinations(outputs, 2):
        if first.resolved == second.resolved:
            raise UserError(
                f"{first.parameter} and {second.parameter} are both {first.path}: one would be "
                "written over the other; give each a place of its own"
            )
        for outer, inner in ((first, second), (second, first)):
            if outer.is_file and outer.resolved in inner.resolved.parents:
                raise UserError(
                    f"{inner.parameter} {inner.path} lies below {outer.path}, the file of "
                    f"{outer.parameter}; choose another place"
                )
    for output in outputs:
        for source in inputs:
            if output.resolved == source.resolved:
                raise UserError(
                    f"{output.parameter} is {output.path}, which {source.parameter} reads: it "
                    "would be written over; choose another place"
                )
            if output.path.is_file() and source.resolved in output.resolved.parents:
                raise UserError(
                    f"{output.parameter} is {output.path}, a file in the folder that "
                    f"{source.parameter} reads: it would be lost; choose another place"
                )


def _shown(parameter: Any) -> str:
    option: str = parameter.opts[0]
    return option if option.startswith("-") else option.upper()
