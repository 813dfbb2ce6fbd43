"""Trained weights on disk: one safetensors file and a manifest with its origin.

Nothing is ever unpickled. A file whose sha256 is not the manifest's is refused.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

SHIPPED = Path(__file__).parent / "checkpoints"
WEIGHTS_FILE = "weights.safetensors"
MANIFEST_FILE = "manifest.json"
PROMPTS_FILE = "prompts.bin"


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of another kind; the message says what to do."""


@dataclass(frozen=True)
class Manifest:
    """Where weights came from. ``measured`` holds figures on rows the weights did not see,
    ``settings`` what was searched for and found, ``shortcoming`` why the router is not offered
    (``analysis/routing/usefulness.py``)."""

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
    settings: Mapping[str, object] = field(default_factory=dict)
    shortcoming: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    arrays: Mapping[str, NDArray[Any]]
    manifest: Manifest


def write_checkpoint(folder: Path, arrays: Mapping[str, NDArray[Any]], manifest: Manifest) -> str:
    """Write weights and manifest; return the weights' sha256, which the manifest contains too."""
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


def write_prompt_hashes(folder: Path, prompts: Iterable[str]) -> None:
    """The training prompts as sorted 64-bit hashes: they show an overlap and reveal no prompt."""
    hashes = np.unique(prompt_hashes(prompts))
    (folder / PROMPTS_FILE).write_bytes(hashes.astype("<u8").tobytes())


def read_prompt_hashes(folder: Path) -> NDArray[np.uint64] | None:
    """None if the checkpoint has none."""
    try:
        content = (folder / PROMPTS_FILE).read_bytes()
    except OSError:
        return None
    return np.frombuffer(content[: len(content) // 8 * 8], dtype="<u8")


def prompt_hashes(prompts: Iterable[str]) -> NDArray[np.uint64]:
    """The first eight bytes of each prompt's sha256."""
    firsts = b"".join(hashlib.sha256(prompt.encode()).digest()[:8] for prompt in prompts)
    return np.frombuffer(firsts, dtype="<u8")


def read_manifest_kind(folder: Path) -> str:
    """The kind of checkpoint according to the folder's manifest."""
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
