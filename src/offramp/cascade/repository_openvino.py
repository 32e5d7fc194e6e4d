"""The model repository of OpenVINO Model Server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.cascade.repository import Repository, TailModel

__all__ = ["OpenVinoRepository"]

#: without it a CPU with bf16 computes in bf16, and the answers are not those the records hold
_PLUGIN = {"INFERENCE_PRECISION_HINT": "f32"}


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
        shared = {"target_device": "CPU", "plugin_config": _PLUGIN}
        models = [{"config": {"name": name, "base_path": name, **shared}} for name in names]
        return {"config.json": (json.dumps({"model_config_list": models}, indent=2) + "\n").encode()}
