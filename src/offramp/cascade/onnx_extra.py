"""The libraries that read ONNX models: an extra, not on a device."""

from __future__ import annotations

from offramp.errors import ConfigError

__all__ = ["require_onnx"]


def require_onnx() -> None:
    """Refuse to go on without the libraries that read ONNX models.

    Raises
    ------
    ConfigError : they are not installed
    """
    try:
        import onnx  # noqa: F401
        import onnx_ir  # noqa: F401
    except ImportError as error:
        raise ConfigError("reading ONNX models needs onnx and onnx-ir: pip install 'offramp[onnx]'") from error
