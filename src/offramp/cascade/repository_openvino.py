"""The model repository of OpenVINO Model Server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.cascade.repository import Repository, TailModel

__all__ = ["OpenVinoRepository"]


@dataclass(frozen=True, slots=True)
class OpenVinoRepository(Repository):
    """``NAME/1/model.onnx`` and one ``config.json`` with all models, paths relative to it.

    Examples
    --------
    >>> print(OpenVinoRepository().shared_files(["tiny-from-1"])["config.json"].decode().split()[0])
    {
    """

    def model_files(self, model: TailModel) -> dict[str, bytes]:
        return {"1/model.onnx": model.content}

    def shared_files(self, names: Sequence[str]) -> dict[str, bytes]:
        models = [{"config": {"name": name, "base_path": name, "target_device": "CPU"}} for name in names]
        return {"config.json": (json.dumps({"model_config_list": models}, indent=2) + "\n").encode()}
