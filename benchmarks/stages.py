"""Time of a program on a device by stage, from the names of its operations."""

import re
from collections import Counter
from pathlib import Path

from jax.profiler import ProfileData

SCOPE = re.compile(r"(transpose\()?(?:jvp\()?\b(features|proposals|box|detections|masks|targets|losses|update)\b")
NAMED = re.compile(r'^\s*(?:ROOT )?%?([\w.\-]+) = .*op_name="([^"]*)"')


def stage(operation: str) -> str:
    """The stage of an operation: `jit(train_step)/transpose(jvp(box))/dot_general` is "box, backward"."""
    found = SCOPE.search(operation)
    if found is None:
        return "other"
    return f"{found[2]}, backward" if found[1] else found[2]


def seconds_by_stage(folder: Path, hlo: str) -> dict[str, float]:
    """Seconds of a profile by stage, the longest first.

    Args:
        folder: where `jax.profiler` wrote the profile.
        hlo: the text of the compiled program; events of other programs are left out.
    """
    module = hlo.split()[1].rstrip(",")
    operations = {match[1]: match[2] for line in hlo.splitlines() if (match := NAMED.match(line))}
    total: Counter[str] = Counter()
    for file in folder.rglob("*.xplane.pb"):
        for plane in ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                for event in line.events:
                    about = dict(event.stats)
                    if about.get("hlo_module") == module:
                        total[stage(operations.get(str(about.get("hlo_op")), ""))] += event.duration_ns / 1e9
    return dict(total.most_common())
