"""Run in the environment ``kserve``: is this manifest one that KServe's own classes know, field by field?"""

# mypy: ignore-errors
# its libraries are in an environment of their own

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import kserve
import kubernetes.client
import yaml


def check(kind: str, value: Any, where: str) -> None:
    """Raise ``ValueError`` at the first field that ``kind`` does not have."""
    if inner := re.fullmatch(r"list\[(.*)\]", kind):
        for index, item in enumerate(value):
            check(inner[1], item, f"{where}[{index}]")
        return
    if inner := re.fullmatch(r"dict\((.*), (.*)\)", kind):
        for key, item in value.items():
            check(inner[2], item, f"{where}.{key}")
        return
    model = getattr(kserve, kind, None) or getattr(kubernetes.client, kind, None)
    if model is None:
        if kind == "str" and not isinstance(value, str):
            raise ValueError(f"{where} must be a string, not {value!r}")
        if kind == "int" and not isinstance(value, int):
            raise ValueError(f"{where} must be an integer, not {value!r}")
        return
    fields = {name: attribute for attribute, name in model.attribute_map.items()}
    for key, item in value.items():
        if key not in fields:
            raise ValueError(f"{where}: {kind} has no field {key!r}")
        check(model.openapi_types[fields[key]], item, f"{where}.{key}")


if __name__ == "__main__":
    check("V1beta1InferenceService", yaml.safe_load(Path(sys.argv[1]).read_text()), "manifest")
    sys.stdout.write("known\n")
