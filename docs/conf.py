"""The docs as a site: `make docs`. Its sources are the pages as they stand in the repository."""

import subprocess
import sys
from pathlib import Path

from segtrans import __version__

_ROOT = Path(__file__).parents[1]

project = "segtrans"
author = "The segtrans authors"
project_copyright = "The segtrans authors"
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
# The repository is the source folder, so that links between pages are the same as in it.
root_doc = "docs/index"
include_patterns = [
    *("docs/**", "config/README.md", "benchmarks/README.md", "findings/README.md"),
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
]
html_theme = "furo"
html_title = "segtrans"
html_extra_path = ["redirect"]  # / leads to docs/index.html
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # pages that begin below the first level, as parts of others
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
copybutton_exclude = ".linenos, .gp"


def setup(app: object) -> None:
    """Write the pages that are made from the code."""
    command = [sys.executable, "-m", "typer", "segtrans.cli", "utils", "docs", "--name", "segtrans"]
    output = _ROOT / "docs" / "reference" / "commands.md"
    subprocess.run([*command, "--title", "Command line", "--output", output], check=True)
