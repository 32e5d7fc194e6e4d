"""The folder ``NAME.cascade/``: opening (verified) and saving (atomic)."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from offramp.cascade.manifest import SCHEMA_VERSION, Calibration, Manifest
from offramp.cascade.segment import Segment
from offramp.errors import CascadeError

__all__ = ["Cascade", "open_cascade", "save_cascade", "sha256_of_file", "write_text_atomic"]

MANIFEST_FILE = "cascade.json"


@dataclass(frozen=True)
class Cascade:
    """An opened cascade: its folder and its verified manifest.

    Examples
    --------
    >>> cascade = open_cascade(getfixture("tiny_cascade"))
    >>> cascade.manifest.exit_names
    ('early', 'final')
    """

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The name it is served under."""
        return self.manifest.name

    def segment(self, index: int, threads: int = 1) -> Segment:
        """Load segment ``index`` into an ONNX Runtime session."""
        return Segment(self.path / self.manifest.segments[index].file, self.manifest.segments[index], threads)

    def load_segments(self, threads: int = 1) -> tuple[Segment, ...]:
        """Load every segment."""
        return tuple(self.segment(i, threads) for i in range(len(self.manifest.segments)))

    def with_calibration(self, calibration: Calibration) -> Cascade:
        """Store new temperatures in ``cascade.json`` (atomically) and return the cascade with them."""
        manifest = self.manifest.model_copy(update={"calibration": calibration})
        manifest = Manifest.model_validate(manifest.model_dump())
        write_text_atomic(self.path / MANIFEST_FILE, manifest.to_json())
        return Cascade(self.path, manifest)


def sha256_of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text_atomic(path: Path, text: str) -> None:
    """Write a file so that readers see the old or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def open_cascade(path: str | Path, verify: bool = True) -> Cascade:
    """Open a cascade folder and check it.

    Parameters
    ----------
    path : the folder ``NAME.cascade``
    verify : also check the sha256 of every file (on by default)

    Raises
    ------
    CascadeError : the folder or a file is missing, truncated, tampered with, or of a newer version
    """
    folder = Path(path)
    manifest = _read_manifest(folder)
    for index, segment in enumerate(manifest.segments):
        file = folder / segment.file
        if not file.is_file():
            raise CascadeError(f"{file}: segment {index} is missing; build or copy the cascade again")
        size = file.stat().st_size
        if size != segment.file_bytes:
            raise CascadeError(
                f"{file}: segment {index} has {size} bytes, but {MANIFEST_FILE} says {segment.file_bytes}: "
                "truncated or replaced; build or copy the cascade again"
            )
        if verify and sha256_of_file(file) != segment.sha256:
            raise CascadeError(
                f"{file}: segment {index} does not match its sha256 in {MANIFEST_FILE}: "
                "tampered with or damaged; build or copy the cascade again"
            )
    return Cascade(folder, manifest)


def _read_manifest(folder: Path) -> Manifest:
    file = folder / MANIFEST_FILE
    if not folder.is_dir():
        raise CascadeError(f"{folder}: no such cascade folder; 'offramp build CONFIG.toml' makes one")
    if not file.is_file():
        raise CascadeError(f"{folder}: not a cascade (no {MANIFEST_FILE}); 'offramp build CONFIG.toml' makes one")
    try:
        body = json.loads(file.read_text())
        if not isinstance(body, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise CascadeError(f"{file}: not valid JSON ({error}): truncated or damaged; build it again") from error
    version = body.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CascadeError(
            f"{file}: schema version {version} is newer than this offramp reads ({SCHEMA_VERSION}); upgrade offramp"
        )
    digest = body.pop("sha256", None)
    if digest != Manifest.digest_of(body):
        raise CascadeError(f"{file}: does not match its own sha256: edited or damaged; build or copy it again")
    try:
        return Manifest.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise CascadeError(f"{file}: {where}: {first['msg']}; build the cascade again") from error


def save_cascade(path: str | Path, manifest: Manifest, files: Mapping[str, bytes], overwrite: bool = False) -> Cascade:
    """Write a cascade folder atomically: a new folder first, then one rename.

    Parameters
    ----------
    path : the folder to make, by custom ``NAME.cascade``
    manifest : what goes into ``cascade.json``; its hashes must match ``files``
    files : content of every segment file, by name
    overwrite : replace a cascade that is already there

    Raises
    ------
    CascadeError : the folder exists and ``overwrite`` is off, or ``files`` do not match the manifest
    """
    folder = Path(path)
    if folder.exists() and not overwrite:
        raise CascadeError(f"{folder}: already exists; choose another name or pass --overwrite")
    for segment in manifest.segments:
        content = files.get(segment.file)
        if content is None:
            raise CascadeError(f"{folder}: no content given for {segment.file}")
        if hashlib.sha256(content).hexdigest() != segment.sha256:
            raise CascadeError(f"{folder}: the content of {segment.file} does not match its sha256")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / MANIFEST_FILE).write_text(manifest.to_json())
        temporary.chmod(0o755)
        _swap(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return open_cascade(folder)


def _swap(new: Path, folder: Path) -> None:
    """Put ``new`` in the place of ``folder``; an old folder is set aside first and removed last."""
    if not folder.exists():
        new.rename(folder)
        return
    aside = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    folder.rename(aside)
    try:
        new.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
