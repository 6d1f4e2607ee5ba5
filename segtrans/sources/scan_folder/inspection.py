"""A folder of scans as `segtrans check` tells of it; imports what reads them when asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtrans.sources.own_folder.inspection import Inspection


def inspect(folder: Path, given: Mapping[str, Any], data_seed: int) -> Inspection:
    """Read all scans of a folder, once.

    Args:
        folder: of the data set.
        given: values of an entry of `data_sets`; they win over dataset.yaml.
        data_seed: of the split.

    Raises:
        UserError: there is no such folder, or a value is refused.
    """
    from segtrans.sources.own_folder.counts import counts_of_pathologies
    from segtrans.sources.own_folder.shortcuts import describe
    from segtrans.sources.scan_folder import check as scans
    from segtrans.sources.scan_folder.definition import complete_definition

    task = complete_definition(folder, given)
    checked = scans.check_folder(folder, task, data_seed=data_seed)
    facts, used = checked.facts, checked.task
    known = scans.known_of_pathologies(facts, used)
    of_each = counts_of_pathologies(used.pathologies, known, f"present {used.image_name}s")
    lines = [*scans.counts(checked), *of_each, *scans.notes(checked)]
    lines += scans.few_scans(checked.cases)
    if facts:
        found = scans.find_shortcuts(facts, used)
        lines += describe(found, least=scans.LEAST, are_good=not any(of.faults for of in facts))
    faults = [*filter(None, [used.why_too_small]), *checked.faults]
    return Inspection(used, lines, faults, lambda: scans.some_slices(facts))
