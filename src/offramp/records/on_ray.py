"""Parts computed on a Ray cluster."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import ConfigError
from offramp.records.part import Part, PartOptions, PartRunner

__all__ = ["OnRay"]


class OnRay:
    """Ray actors, each with the cascade's files and its own ONNX Runtime sessions.

    Joins the cluster that ``RAY_ADDRESS`` names, or starts Ray on this machine; what is started here
    is stopped here. The nodes need offramp, not the cascade's folder: its files are sent.

    Raises
    ------
    ConfigError : Ray is not installed
    """

    def __init__(self, cascade: Cascade, options: PartOptions, processes: int) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("the engine ray needs Ray; pip install 'offramp[ray]'") from error
        self._ray: Any = ray
        self._options, self._processes = options, processes
        self._files = {file.name: file.read_bytes() for file in cascade.path.iterdir() if file.is_file()}

    def run(self, parts: Iterable[Part], done: Callable[[int], None]) -> Iterator[tuple[Part, bytes]]:
        ray = self._ray
        ours = not ray.is_initialized()
        if ours:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level="error")
        try:
            files = ray.put(self._files)
            actor = ray.remote(num_cpus=1)(_Worker)
            workers = [actor.remote(files, self._options) for _ in range(self._processes)]
            waiting: deque[tuple[Part, Any]] = deque()
            for index, part in enumerate(parts):
                waiting.append((part, workers[index % len(workers)].run.remote(part)))
                if len(waiting) >= 2 * len(workers):
                    first, reference = waiting.popleft()
                    yield first, self._get(reference)
            while waiting:
                first, reference = waiting.popleft()
                yield first, self._get(reference)
        finally:
            if ours:
                ray.shutdown()

    def _get(self, reference: Any) -> bytes:
        try:
            return bytes(self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from error


class _Worker:
    def __init__(self, files: dict[str, bytes], options: PartOptions) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="offramp-", suffix=".cascade")
        for name, content in files.items():
            Path(self._folder.name, name).write_bytes(content)
        self._runner = PartRunner(open_cascade(self._folder.name), options)

    def run(self, part: Part) -> bytes:
        return self._runner(part)
