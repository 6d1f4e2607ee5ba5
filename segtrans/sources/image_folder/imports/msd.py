"""The Medical Segmentation Decathlon, and MONAI's lists like it: dataset.json, volumes, slices."""

from pathlib import Path

from pydantic import Field

from segtrans.sources.image_folder.imports import volumes
from segtrans.sources.image_folder.imports.layout import Content, Layout, is_inside, read_json
from segtrans.sources.image_folder.imports.nnunet import meanings


class _Case(Content):
    image: str
    label: str | None = None


class _DataSet(Content):
    labels: dict[str, int | list[int] | str]
    modality: dict[str, str] = Field(default={})
    training: list[_Case]
    test: list[_Case | str] = Field(default=[])


def read(source: Path) -> Layout:
    """The axial slices of all cases; those of `test`, and all without a label, are unlabelled.

    Raises:
        UserError: dataset.json is missing or is none of the Decathlon's.
    """
    file = source / "dataset.json"
    content = read_json(file, _DataSet)
    classes, values = meanings(content.labels, origin=file)
    layout = Layout([], classes, dict(volumes.SETTINGS))
    names = [content.modality[key] for key in sorted(content.modality, key=int)]
    if len(names) > 1 and len(set(names)) == len(names):
        layout.settings["channels"] = names
    test = [case if isinstance(case, _Case) else _Case(image=case) for case in content.test]
    for case in (*content.training, *test):
        paths = [source / name for name in (case.image, case.label) if name is not None]
        if lacking := [path for path in paths if not is_inside(source, path)]:
            layout.faults.append(f"{file}: {lacking[0]}: no such file in {source}")
            continue
        image, label = paths[0], paths[1] if len(paths) > 1 else None
        name = image.name.removesuffix(".gz").removesuffix(".nii")
        volumes.add_slices(layout, name, [image], label, values)
    return layout
