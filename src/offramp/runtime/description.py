"""What a tier says of itself: alive, ready, its metadata and its repository of one model."""

from __future__ import annotations

from offramp import __version__
from offramp.errors import ConfigError
from offramp.runtime.answering import Answering
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import MODEL_VERSION
from offramp.runtime.responses import OUTPUTS
from offramp.runtime.status import UnknownModel
from offramp.runtime.tensors import DATATYPES

__all__ = ["Description", "NotOffered"]

#: of the protocol, besides its core; `binary_tensor_data` is REST's
EXTENSIONS = ("model_repository", "model_repository(index)", "binary_tensor_data")


class NotOffered(ConfigError):
    """A call of the protocol that a tier refuses on principle."""


class Description:
    """The answers to every question of the protocol that is no inference; gRPC and REST give the same.

    Parameters
    ----------
    answering : whose tier it describes
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._manifest = answering.tier.manifest

    @property
    def ready(self) -> bool:
        """Whether the tier takes requests."""
        return not self._answering.draining

    def model_ready(self, name: str, version: str = "") -> bool:
        """Whether it takes requests for this model and version; another one is not ready, and no error."""
        return self.ready and self._has(name, version)

    def server(self) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return pb.ServerMetadataResponse(name="offramp", version=__version__, extensions=EXTENSIONS)

    def model(self, name: str, version: str = "") -> pb.ModelMetadataResponse:
        """The inputs at cut 0, and the outputs, one row each.

        Raises
        ------
        UnknownModel : another model or version
        """
        manifest = self._manifest
        self.require(name, version)
        message = pb.ModelMetadataResponse(name=manifest.name, versions=[MODEL_VERSION], platform="onnx_offramp")
        for spec in manifest.inputs:
            shape = [-1 if size is None else size for size in spec.shape]
            message.inputs.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=shape)
        for output, datatype in OUTPUTS.items():
            shape = [-1, len(manifest.labels)] if output == "probabilities" else [-1]
            message.outputs.add(name=output, datatype=datatype, shape=shape)
        return message

    def index(self, repository: str = "", only_ready: bool = False) -> pb.RepositoryIndexResponse:
        """The one model; none if only those that are ready are asked for and it is not.

        Raises
        ------
        UnknownModel : a repository is named; the one here has no name
        """
        if repository:
            raise UnknownModel(f"no repository {repository[:80]!r} here; leave the name out to ask for the only one")
        message = pb.RepositoryIndexResponse()
        if self.ready:
            message.models.add(name=self._manifest.name, version=MODEL_VERSION, state="READY")
        elif not only_ready:
            message.models.add(
                name=self._manifest.name, version=MODEL_VERSION, state="UNAVAILABLE", reason="the tier is shutting down"
            )
        return message

    def refuse(self, verb: str) -> NotOffered:
        """Why models are neither loaded nor unloaded here."""
        return NotOffered(
            f"a tier serves the one cascade it was started with and cannot {verb} models; "
            "start another tier with 'offramp serve CASCADE'"
        )

    def require(self, name: str, version: str = "") -> None:
        """Check that a request means the model that is here.

        Raises
        ------
        UnknownModel : another model or version
        """
        if name != self._manifest.name:
            raise UnknownModel(f"no model {name[:80]!r} here; this server has {self._manifest.name!r}")
        if not self._has(name, version):
            raise UnknownModel(f"model {name!r} has no version {version[:20]!r}; it has {MODEL_VERSION!r}")

    def _has(self, name: str, version: str) -> bool:
        return name == self._manifest.name and version in ("", MODEL_VERSION)
