"""The folder ``NAME.cascade/``: opening (verified) and saving (atomic)."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from offramp.cascade.manifest import (
    SCHEMA_VERSION,
    Calibration,
    KernelSpec,
    Manifest,
    SegmentSpec,
    TokenizerSpec,
    VariantSpec,
)
from offramp.cascade.precision import precision_at, segments_of
from offramp.cascade.segment import Segment
from offramp.cascade.text import InputReader, Tokenizer
from offramp.errors import CascadeError
from offramp.files import first_fault

__all__ = ["Cascade", "open_cascade", "save_cascade", "sha256_of_file", "write_bytes_atomic", "write_text_atomic"]

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

    def segment(self, index: int, threads: int = 1, precision: str = "fp32", kernels: bool = True) -> Segment:
        """Load segment ``index`` into an ONNX Runtime session.

        A 1-bit segment with a file for the packed kernels runs on them, where this machine can; else a line in the log
        says why not.

        Parameters
        ----------
        index : of the segment, from 0
        threads : ONNX Runtime threads
        precision : ``fp32``, ``int8``, or a plan's precision such as ``int8:2``
        kernels : off: ONNX Runtime in any case

        Raises
        ------
        CascadeError : there is no variant of that precision, or the file cannot be loaded
        """
        file, spec = self.segment_file(index, precision), self.manifest.segments[index]
        program = None if spec.low_bit is None else spec.low_bit.kernel
        if kernels and program is not None and precision_at(precision, index) == "fp32":
            from offramp.cascade.kernels.compiling import why_not
            from offramp.cascade.kernels.segment import KernelSegment

            if not (reason := why_not()):
                return KernelSegment(file, self.path / program.file, spec)
            _say_once(reason)
        return Segment(file, spec, threads)

    def load_segments(self, threads: int = 1, precision: str = "fp32", kernels: bool = True) -> tuple[Segment, ...]:
        """Load every segment; ``precision`` is a plan's, such as ``int8:2``, ``kernels`` as for `segment`."""
        kinds = segments_of(precision, len(self.manifest.segments))
        return tuple(self.segment(i, threads, kind, kernels) for i, kind in enumerate(kinds))

    def segment_file(self, index: int, precision: str = "fp32") -> Path:
        """The file of segment ``index`` in a plan's precision.

        Raises
        ------
        CascadeError : there is no variant of that precision
        """
        spec = self.manifest.segments[index]
        kind = precision_at(precision, index)
        if kind == "fp32":
            return self.path / spec.file
        if (variant := spec.variant(kind)) is None:
            raise CascadeError(
                f"{self.path}: segment {index} has no {kind} variant; "
                "'offramp quantise CASCADE --segments N,N' makes one"
            )
        return self.path / variant.file

    def reader(self) -> InputReader:
        """Turns rows as the data has them into the cascade's inputs: tokenises where it reads text.

        Raises
        ------
        CascadeError : the tokenizer cannot be loaded
        """
        spec = self.manifest.tokenizer
        return InputReader(None if spec is None else Tokenizer(self.path / spec.file, spec))

    def with_calibration(self, calibration: Calibration) -> Cascade:
        """Store new temperatures in ``cascade.json`` (atomically) and return the cascade with them."""
        return self._with(calibration=calibration)

    def with_variants(self, files: Mapping[int, bytes], precision: Literal["int8"] = "int8") -> Cascade:
        """Store segments in another precision beside the fp32 ones and return the cascade with them.

        Parameters
        ----------
        files : content of the variant's file, by segment index; a variant that was there is replaced
        precision : of the variants

        Raises
        ------
        OSError : no space or no permission; ``cascade.json`` and the files it names are as before
        """
        segments = list(self.manifest.segments)
        outdated: list[Path] = []
        for index, content in files.items():
            spec, digest = segments[index], hashlib.sha256(content).hexdigest()
            stem = f"{Path(spec.file).stem}.{precision}"
            file = f"{stem}-{digest[:8]}.onnx"
            outdated += [old for old in self.path.glob(f"{stem}-*.onnx") if old.name != file]
            write_bytes_atomic(self.path / file, content)
            new = VariantSpec(precision=precision, file=file, sha256=digest, file_bytes=len(content))
            others = tuple(v for v in spec.variants if v.precision != precision)
            segments[index] = spec.model_copy(update={"variants": (*others, new)})
        cascade = self._with(segments=tuple(segments))
        for old in outdated:
            old.unlink(missing_ok=True)
        return cascade

    def _with(self, **changes: object) -> Cascade:
        manifest = Manifest.model_validate(self.manifest.model_copy(update=changes).model_dump())
        write_text_atomic(self.path / MANIFEST_FILE, manifest.to_json())
        return Cascade(self.path, manifest)


@cache
def _say_once(reason: str) -> None:
    logging.getLogger(__name__).warning(reason)


def sha256_of_file(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text_atomic(path: Path, text: str) -> None:
    """Write a text file so that readers see the old or the new one, never half of it."""
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
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
        _check_file(folder, f"segment {index}", segment, verify)
        for variant in segment.variants:
            _check_file(folder, f"the {variant.precision} variant of segment {index}", variant, verify)
        if segment.low_bit is not None and segment.low_bit.kernel is not None:
            _check_file(folder, f"the kernel file of segment {index}", segment.low_bit.kernel, verify)
    if manifest.tokenizer is not None:
        _check_file(folder, "the tokenizer", manifest.tokenizer, verify)
    return Cascade(folder, manifest)


def _check_file(
    folder: Path, what: str, spec: SegmentSpec | VariantSpec | TokenizerSpec | KernelSpec, verify: bool
) -> None:
    file = folder / spec.file
    if not file.is_file():
        raise CascadeError(f"{file}: {what} is missing; build or copy the cascade again")
    size = file.stat().st_size
    if size != spec.file_bytes:
        raise CascadeError(
            f"{file}: {what} has {size} bytes, but {MANIFEST_FILE} says {spec.file_bytes}: "
            "truncated or replaced; build or copy the cascade again"
        )
    if verify and sha256_of_file(file) != spec.sha256:
        raise CascadeError(
            f"{file}: {what} does not match its sha256 in {MANIFEST_FILE}: "
            "tampered with or damaged; build or copy the cascade again"
        )


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
        raise CascadeError(f"{file}: {first_fault(error, 'top level')}; build the cascade again") from error


def save_cascade(path: str | Path, manifest: Manifest, files: Mapping[str, bytes], overwrite: bool = False) -> Cascade:
    """Write a cascade folder atomically: a new folder first, then one rename.

    Parameters
    ----------
    path : the folder to make, by custom ``NAME.cascade``
    manifest : what goes into ``cascade.json``; its hashes must match ``files``
    files : content of every segment file, kernel file and of the tokenizer, by name
    overwrite : replace a cascade that is already there

    Raises
    ------
    CascadeError : the folder exists and ``overwrite`` is off, or ``files`` do not match the manifest
    """
    folder = Path(path)
    if folder.exists() and not overwrite:
        raise CascadeError(f"{folder}: already exists; choose another name or pass --overwrite")
    kernels = (each.low_bit.kernel for each in manifest.segments if each.low_bit is not None)
    specs = [each for each in (*manifest.segments, *kernels, manifest.tokenizer) if each is not None]
    for spec in specs:
        content = files.get(spec.file)
        if content is None:
            raise CascadeError(f"{folder}: no content given for {spec.file}")
        if hashlib.sha256(content).hexdigest() != spec.sha256:
            raise CascadeError(f"{folder}: the content of {spec.file} does not match its sha256")
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
