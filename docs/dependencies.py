"""Write docs/dependencies.md: each dependency, why it is there, and the licences of all.

Why stands in pyproject.toml, beside the range; licences are those that the installed packages
state. `make docs` runs it.
"""

import re
from collections import defaultdict
from importlib.metadata import files, metadata
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LONGEST = 40  # letters of a licence's name; longer ones are its text
_SAYS_NOTHING = ("", "UNKNOWN", "Dual License")
_MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"
_OURS = """\
What could be a library's and is ours, and why: [how the pieces
fit](how-it-fits.md#what-could-be-a-librarys-and-is-ours).
"""
_EXTRAS = """\
## Extras

`pip install 'segtrans[slurm]'` installs one. `dev` holds the four others too. No extra is needed
[for GPUs](gpu.md).
"""
_ADVISORIES = """\
## Known advisories

The pinned set has not been checked, because the databases of advisories are online. To check it:

```sh
pip install pip-audit
pip-audit --strict --require-hashes --disable-pip --requirement containers/requirements.lock
```

Without `--strict`, pip-audit skips packages that it finds no record of, and still says "No known
vulnerabilities found".
"""
# How else some packages write the same.
_SAME = {
    "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache 2": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache": "Apache-2.0",
    "MIT License": "MIT", "The MIT License": "MIT", "MIT-License": "MIT",
    "BSD License": "BSD", "new BSD": "BSD", "New BSD": "BSD", "BSD-3": "BSD-3-Clause",
    "BSD 3-Clause": "BSD-3-Clause", "3-Clause BSD License": "BSD-3-Clause",
    "ISC License": "ISC", "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}  # fmt: skip


def page() -> str:
    """The page, as Markdown."""
    lines = ["# Dependencies", "", "| package | lowest | licence | what for |", "|---|---|---|---|"]
    for name, lowest, why in _direct():
        lines.append(f"| `{name}` | {lowest} | {_licence(name)} | {why} |")
    lines += ["", _OURS, _EXTRAS, "| extra | package | what for |", "|---|---|---|"]
    lines += [f"| `{extra}` | `{name}` | {why} |" for extra, name, why in _of_extras()]
    lines += ["", "## Licences", ""]
    lines.append(
        "Of all that `pip install segtrans` brings on every platform, as the packages state them, "
        "in their metadata or else in their licence file. "
        "On Linux, NVIDIA's libraries come with torch under NVIDIA's own."
    )
    lines += ["", "| licence | packages |", "|---|---|"]
    lines += [f"| {licence} | {', '.join(names)} |" for licence, names in _by_licence()]
    return "\n".join([*lines, "", _ADVISORIES.rstrip()])


def _direct() -> list[tuple[str, str, str]]:
    """Name, lowest version and purpose of each dependency that pyproject.toml names."""
    text = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'^    "([\w-]+)>=([\d.]+)[^"]*",  # (.*)$', block, re.MULTILINE)


def _of_extras() -> list[tuple[str, str, str]]:
    """Extra, name and purpose of each package that pyproject.toml lists under an extra."""
    text = (_ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (block,) = re.findall(
        r"^\[project.optional-dependencies\]\n(.*?)^\[", text, re.MULTILINE | re.DOTALL
    )
    return [
        (extra, name, why)
        for extra, lines in re.findall(r"^(\w+) = \[\n(.*?)^\]", block, re.MULTILINE | re.DOTALL)
        for name, why in re.findall(r'^    "([\w-]+)[^"[]*",  # (.*)$', lines, re.MULTILINE)
    ]


def _by_licence() -> list[tuple[str, list[str]]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in _names("containers/requirements.lock") & _names("constraints.txt"):
        found[_licence(name)].append(name)
    return [(licence, sorted(names)) for licence, names in sorted(found.items())]


def _names(file: str) -> set[str]:
    text = (_ROOT / file).read_text(encoding="utf-8")
    # Without a condition: what other platforms need, this one has not.
    return set(re.findall(r"^([\w.-]+)==[^\s;]+(?: \\)?$", text, re.MULTILINE))


def _licence(name: str) -> str:
    known = metadata(name)
    if expression := known.get("License-Expression"):
        return expression
    stated = known.get("License") or ""
    if stated.strip() in _SAYS_NOTHING or "\n" in stated or len(stated) > _LONGEST:
        classifiers = [c.split(" :: ") for c in known.get_all("Classifier", [])]
        named = {c[-1] for c in classifiers if c[0] == "License"} - {"OSI Approved"}
        stated = ", ".join(sorted(named)) or _of_file(name)
    return _SAME.get(stated, stated).replace("|", "or")


def _of_file(name: str) -> str:
    """The licence by its text, where the metadata do not name it."""
    kept = [file for file in files(name) or () if file.name.upper().startswith("LICENSE")]
    texts = [" ".join(file.read_text(encoding="utf-8").split()) for file in kept]
    if any(_MIT in text for text in texts):
        return "MIT"
    raise ValueError(f"{name}: names no licence that is known here: {kept}; read and add it")


if __name__ == "__main__":
    (_ROOT / "docs" / "dependencies.md").write_text(page() + "\n", encoding="utf-8")
