"""All kinds of tasks, and the paper's tasks by name."""

from importlib.resources import files
from typing import Annotated, get_args

import yaml
from pydantic import Field, TypeAdapter

from segtrans.tasks.cluttered_mnist import ClutteredMnist
from segtrans.tasks.half_slices import HalfSlices
from segtrans.tasks.half_volumes import HalfVolumes
from segtrans.tasks.image_folder import ImageFolder
from segtrans.tasks.own_folder import OwnFolder
from segtrans.tasks.scan_folder import ScanFolder

AnyTask = Annotated[
    ClutteredMnist | HalfSlices | HalfVolumes | ImageFolder | ScanFolder,
    Field(discriminator="kind"),
]
# The kinds that a task of the user's own may be of.
OWN_KINDS = (ClutteredMnist, HalfSlices, HalfVolumes, ImageFolder, ScanFolder)
# Those whose data a folder of the user's own holds, by name.
FOLDER_KINDS = tuple(
    get_args(kind.model_fields["kind"].annotation)[0]
    for kind in OWN_KINDS
    if issubclass(kind, OwnFolder)
)


def _read_paper_tasks() -> dict[str, AnyTask]:
    content = yaml.safe_load((files("segtrans.tasks") / "paper.yaml").read_bytes())
    return TypeAdapter(dict[str, AnyTask]).validate_python(content, strict=False)


PAPER_TASKS: dict[str, AnyTask] = _read_paper_tasks()
