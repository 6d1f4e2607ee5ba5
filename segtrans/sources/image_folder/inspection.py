"""A folder of pictures as `segtrans check` tells of it; imports what reads them when asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtrans.sources.own_folder.inspection import Inspection


def inspect(folder: Path, given: Mapping[str, Any], data_seed: int) -> Inspection:
    """Read all pictures of a folder, once.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml.
        data_seed: of the split.

    Raises:
        UserError: there is no such folder, or a value is refused.
    """
    from segtrans.sources.image_folder.check import (
        as_seen,
        check_folder,
        counts,
        few_pictures,
        known_of_pathologies,
        notes,
    )
    from segtrans.sources.image_folder.definition import complete_definition
    from segtrans.sources.image_folder.sheet import some_pictures
    from segtrans.sources.image_folder.shortcuts import find_shortcuts
    from segtrans.sources.own_folder.counts import counts_of_pathologies
    from segtrans.sources.own_folder.shortcuts import describe

    task = complete_definition(folder, given)
    checked = check_folder(folder, task, data_seed=data_seed)
    facts = checked.facts
    known = known_of_pathologies(facts)
    of_each = counts_of_pathologies(task.pathologies, known, "present pictures")
    lines = [*counts(checked.prepared), *of_each]
    lines += [*as_seen(facts, task), *notes(checked, folder, task)]
    lines += few_pictures(checked.prepared)
    lines += (
        describe(find_shortcuts(facts), are_good=not any(of.faults for of in facts))
        if facts
        else ()
    )
    faults = [*filter(None, [task.why_too_small]), *checked.faults]
    return Inspection(task, lines, faults, lambda: some_pictures(facts, task))
