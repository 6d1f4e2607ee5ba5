"""Read parameters as YAML 1.2 has them, as DVC does; PyYAML's own reading is YAML 1.1.

What YAML 1.1 and 1.2 read differently is refused with its line, but for numbers such as 1e-05,
which DVC itself writes: no reader of the same file, Snakemake's included, means anything else.
"""

import math
import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from segtrans.errors import UserError

_BOOLEANS = {"true": True, "True": True, "TRUE": True} | {
    "false": False,
    "False": False,
    "FALSE": False,
}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# By what some readers take it for.
_AMBIGUOUS = {
    "a boolean": re.compile(r"(?i:yes|no|on|off)"),
    "an octal number": re.compile(r"[-+]?0[0-9]+"),
    "a binary number": re.compile(r"[-+]?0b[01_]+"),
    "a time": re.compile(r"[-+]?[0-9]+(:[0-9]+)+(\.[0-9_]*)?"),
    "a date": re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"),
    "a number": re.compile(
        r"[-+.0-9][0-9_.]*_[0-9_.]*([eE][-+]?[0-9_]+)?|[-+]?0x[0-9a-fA-F_]*_[0-9a-fA-F_]*"
    ),
}
_MAX_NODES = 100_000  # of a file whose aliases repeat each other without end


def read_yaml(file: Path) -> Any:
    """The content of a file.

    Raises:
        UserError: the file cannot be read, is no YAML file, or says something ambiguous.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot read parameters ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not a YAML file: not text in UTF-8 ({error.reason})") from error
    return parse_yaml(text, origin=str(file))


def parse_yaml(text: str, *, origin: str, has_lines: bool = True) -> Any:
    """The content of a text: mappings, lists, texts, numbers, booleans, null.

    Args:
        text: YAML.
        origin: names it in errors.
        has_lines: whether errors name the line.

    Raises:
        UserError: one line that says what is wrong and in which line.
    """
    reader = _Reader(origin, has_lines)
    try:
        node = yaml.compose(text, Loader=_Untyped)
        return None if node is None else reader.value(node)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{origin}: not a YAML file: {problem}{line}") from error
    except yaml.YAMLError as error:
        raise UserError(f"{origin}: not a YAML file: {' '.join(str(error).split())}") from error
    except RecursionError:
        raise UserError(f"{origin}: nested without end; write the values out") from None


class _Untyped(yaml.BaseLoader):
    """Tells what has no tag from what has one."""

    DEFAULT_SCALAR_TAG = "none"  # type: ignore[misc]
    DEFAULT_SEQUENCE_TAG = "none"  # type: ignore[misc]
    DEFAULT_MAPPING_TAG = "none"  # type: ignore[misc]


class _Reader:
    def __init__(self, origin: str, has_lines: bool) -> None:
        self._origin, self._has_lines = origin, has_lines
        self._n_nodes = 0

    def value(self, node: yaml.Node) -> Any:
        """The value of a node: text, number, truth, null, list or mapping."""
        self._n_nodes += 1
        if self._n_nodes > _MAX_NODES:
            self._refuse(node, f"more than {_MAX_NODES:,} values; parameters are a few hundred")
        if node.tag != _Untyped.DEFAULT_SCALAR_TAG:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(node, f"the tag {tag}: leave it out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(element) for element in node.value]
        return node.value if getattr(node, "style", None) else self._plain(node)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        content: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node)
            if not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else key
                self._refuse(key_node, f"the key {shown!s:.40}: a key is text; put it in quotes")
            if key in content:
                place = f" (first in line {lines[key]})" if self._has_lines else ""
                self._refuse(key_node, f"the key {key} occurs twice{place}; keep one")
            lines[key] = key_node.start_mark.line + 1
            content[key] = self.value(value_node)
        return content

    def _plain(self, node: yaml.Node) -> str | int | float | bool | None:
        """A value without quotes, by the core schema of YAML 1.2."""
        text: str = node.value
        for what, pattern in _AMBIGUOUS.items():
            if pattern.fullmatch(text):
                advice = "true or false" if what == "a boolean" else "a plain number"
                self._refuse(
                    node, f"{text} is {what} to some readers; write {advice}, or text in quotes"
                )
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        try:
            if _INTEGER.fullmatch(text):
                return int(text, 0)
            value = float(text) if _FLOAT.fullmatch(text) else None
        except ValueError:
            self._refuse(node, f"{text:.20}...: {len(text):,} digits are no number to compute with")
        if _NOT_FINITE.fullmatch(text) or (value is not None and not math.isfinite(value)):
            self._refuse(node, f"{text}: expected a finite number")
        return text if value is None else value

    def _refuse(self, node: yaml.Node, problem: str) -> NoReturn:
        line = f", line {node.start_mark.line + 1}" if self._has_lines else ""
        raise UserError(f"{self._origin}{line}: {problem}")
