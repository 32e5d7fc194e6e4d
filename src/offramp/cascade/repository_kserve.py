"""A Triton repository with the manifest that makes KServe serve it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from offramp.cascade.repository import Repository, TailModel
from offramp.cascade.repository_triton import TritonRepository

__all__ = ["KServeRepository"]

_MANIFEST = """\
# kubectl apply -f inference-service.yaml, once the folders beside this file lie at storageUri
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
  labels:
    app.kubernetes.io/part-of: offramp
spec:
  predictor:
    minReplicas: 1
    model:
      modelFormat:
        name: triton
        version: "2"
      runtime: kserve-tritonserver
      protocolVersion: grpc-v2
      storageUri: {storage_uri}
      ports:
        - name: h2c
          protocol: TCP
          containerPort: 9000
      env:
        - name: OMP_NUM_THREADS
          value: "1"
      resources:
        requests:
          cpu: "1"
          memory: 1Gi
        limits:
          memory: 2Gi
"""


@dataclass(frozen=True, slots=True)
class KServeRepository(Repository):
    """A Triton repository and ``inference-service.yaml``: one service with all tails, asked over gRPC.

    Parameters
    ----------
    service : name of the InferenceService; made of lower-case letters, digits and dashes
    storage_uri : where KServe finds the folders, such as ``pvc://models/resnet8``
    triton : how the models are laid out

    Examples
    --------
    >>> manifest = KServeRepository("ResNet_8", "pvc://models/r8").shared_files([])["inference-service.yaml"]
    >>> "name: resnet-8" in manifest.decode()
    True
    """

    service: str
    storage_uri: str
    triton: TritonRepository = field(default_factory=TritonRepository)

    def model_files(self, model: TailModel) -> dict[str, bytes]:
        return self.triton.model_files(model)

    def shared_files(self, names: Sequence[str]) -> dict[str, bytes]:
        name = re.sub(r"[^a-z0-9]+", "-", self.service.lower()).strip("-")[:60] or "cascade"
        return {"inference-service.yaml": _MANIFEST.format(name=name, storage_uri=self.storage_uri).encode()}
