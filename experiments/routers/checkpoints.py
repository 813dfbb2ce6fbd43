"""Trained weights on disk: one safetensors file and a manifest that says where it came from.

Nothing is ever unpickled. A file whose sha256 is not the manifest's is refused.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load, save

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another kind; the message says what to do."""


@dataclass(frozen=True)
class Manifest:
    """Where weights came from. ``measured`` holds figures on rows the weights did not see."""

    kind: str
    made_from: str
    command: str
    licence: str
    sha256: str = ""
    embedding_sha256: str = ""
    seed: int = 0
    data: Mapping[str, object] = field(default_factory=dict)
    folds: Mapping[str, object] = field(default_factory=dict)
    measured: Mapping[str, object] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    arrays: Mapping[str, NDArray[Any]]
    manifest: Manifest


def write_checkpoint(folder: Path, arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> str:
    """Write weights and manifest, and return the weights' sha256, which the manifest gets too."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save(dict(arrays))
    digest = hashlib.sha256(content).hexdigest()
    (folder / WEIGHTS_FILE).write_bytes(content)
    described = {**asdict(manifest), "sha256": digest}
    text = json.dumps(described, indent=2, ensure_ascii=False) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")
    return digest


def read_checkpoint(folder: Path, kind: str) -> Checkpoint:
    """Read and verify. Raises ``CheckpointError``."""
    manifest = read_manifest(folder, kind)
    try:
        content = (folder / WEIGHTS_FILE).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder / WEIGHTS_FILE} cannot be read. {_remedy(kind)}") from error
    if hashlib.sha256(content).hexdigest() != manifest.sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE} is not the file its manifest describes (sha256 differs). "
            f"{_remedy(kind)}"
        )
    return Checkpoint(load(content), manifest)


def read_manifest_kind(folder: Path) -> str:
    """Which kind of checkpoint a folder says it holds."""
    return _manifest(folder, "").kind


def read_manifest(folder: Path, kind: str) -> Manifest:
    manifest = _manifest(folder, kind)
    if manifest.kind != kind:
        raise CheckpointError(
            f"{folder} holds a checkpoint of kind '{manifest.kind}', not '{kind}'. "
            "Give the router that kind, or another folder."
        )
    return manifest


def _manifest(folder: Path, kind: str) -> Manifest:
    path = folder / MANIFEST_FILE
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read. {_remedy(kind)}") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a manifest: {error}. {_remedy(kind)}") from error


def _remedy(kind: str) -> str:
    command = {"embedding": "distill_embedding", "domains": "train_domains"}.get(
        kind, "train_router"
    )
    return f"Restore it from the repository or run `manage.py {command}`."
