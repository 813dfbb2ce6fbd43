"""Builds a router from its row: kind, arguments, pinned checkpoint.

Nothing is downloaded here: a checkpoint is a folder, or the id of a hub repository that was
downloaded before (`hf download …`, see docs/bringing-routers.md). A save in the admin or a new
policy must not wait for gigabytes or for a missing network.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.core.policy import PolicyRouter
from experiments.routers import routellm_loader
from experiments.routers.errors import RouterConfigurationError, describe
from experiments.routers.features import Features
from experiments.routers.fingerprint import checkpoint_paths, fingerprint
from experiments.routers.kinds import kind_of
from experiments.routers.local_kinds import load_local

_DATASET_ARGUMENTS = ("arena_battle_datasets", "arena_embedding_datasets")
_PATH_ARGUMENTS = ("checkpoint_path", *_DATASET_ARGUMENTS)


class Built(NamedTuple):
    """A loaded router: its score function, the sha256 of its weights, and RouteLLM's object."""

    score: Callable[[Features], float]
    checkpoint: str | None
    instance: Any


def check_router(kind: str, arguments: Mapping[str, object]) -> None:
    """Try to build it. Raises RouterConfigurationError, whose message says what to change."""
    build(PolicyRouter("check", kind, kind_of(kind).local, arguments=arguments))


def checkpoint_sha256(kind: str, arguments: Mapping[str, object]) -> str | None:
    """The sha256 that a policy pins; None for a router without weights."""
    if kind_of(kind).local:
        return load_local(kind, arguments).checkpoint
    return fingerprint(map(Path, checkpoint_paths(_local_paths(arguments))))


def build(router: PolicyRouter) -> Built:
    """Load a router. Raises RouterConfigurationError."""
    built = _build_local(router) if kind_of(router.kind).local else _build_routellm(router)
    if router.checkpoint and built.checkpoint != router.checkpoint:
        raise RouterConfigurationError(
            f"Router '{router.name}' is pinned to checkpoint {router.checkpoint[:12]}…, but the "
            f"files are {(built.checkpoint or 'none')[:12]}…. Bring the pinned files back, or save "
            "the router again to pin the new ones."
        )
    return built


def routellm_instance(kind: str, built: Built) -> Any:
    """The RouteLLM router for RouteLLM's Controller."""
    if kind_of(kind).local:
        return routellm_loader.bridge().wrap(kind, built.instance)
    return built.instance


def _build_local(router: PolicyRouter) -> Built:
    scorer, checkpoint = load_local(router.kind, router.arguments, router.checkpoint)
    return Built(scorer.score, checkpoint, scorer)


def _build_routellm(router: PolicyRouter) -> Built:
    bridge = routellm_loader.bridge()
    cls = bridge.router_class(router.kind)
    arguments = _bound(router.kind, cls, router.arguments)
    _check_before_building(router.kind, arguments)
    if router.kind != "causal_llm":  # which requires the hub's own name
        arguments = _local_paths(arguments)
    try:
        instance = cls(**arguments)
    except Exception as error:
        raise RouterConfigurationError(
            f"A router of kind '{router.kind}' cannot be built from these arguments. "
            f"{describe(error)}. docs/bringing-routers.md says what each argument means."
        ) from error
    instance.NO_PARALLEL = True  # otherwise RouteLLM requires pandarallel for its batches
    _check_after_building(router.kind, instance)
    paths = () if router.kind == "causal_llm" else checkpoint_paths(arguments)
    return Built(_scorer(instance), fingerprint(map(Path, paths)), instance)


def _scorer(instance: Any) -> Callable[[Features], float]:
    # BERT returns a NumPy scalar, which neither JSON nor the database accepts.
    return lambda features: float(instance.calculate_strong_win_rate(features.text))


def _bound(kind: str, cls: type, arguments: Mapping[str, object]) -> dict[str, Any]:
    """The arguments with the constructor's defaults filled in."""
    signature = inspect.signature(cls)
    try:
        bound = signature.bind(**arguments)
    except TypeError as error:
        takes = ", ".join(map(str, signature.parameters.values())) or "no arguments"
        raise RouterConfigurationError(
            f"A router of kind '{kind}' cannot take these arguments: {error}. It takes {takes}."
        ) from error
    bound.apply_defaults()
    return dict(bound.arguments)


def _check_before_building(kind: str, arguments: Mapping[str, Any]) -> None:
    routellm_loader.require_openai(kind)
    if kind == "mf":
        known = routellm_loader.bridge().MODEL_IDS
        _check_models(arguments["strong_model"], arguments["weak_model"], known)
    if kind == "causal_llm":
        _check_causal_llm(str(arguments["checkpoint_path"]))


def _check_after_building(kind: str, instance: Any) -> None:
    if kind == "sw_ranking":
        _check_models(instance.strong_model, instance.weak_model, instance.model2tier)


def _check_models(strong: str, weak: str, known: Mapping[str, object]) -> None:
    for argument, model in (("strong_model", strong), ("weak_model", weak)):
        if model not in known:
            raise RouterConfigurationError(
                f"{argument} '{model}' is none of the models this router was trained on. "
                f"It knows {', '.join(sorted(known))}."
            )


def _check_causal_llm(checkpoint: str) -> None:
    problems = []
    if not routellm_loader.bridge().has_cuda():
        problems.append("this machine has no CUDA device")
    if Path(checkpoint).exists() or checkpoint.count("/") != 1:
        problems.append(f"RouteLLM takes its prompts from the hub, and '{checkpoint}' is a folder")
    elif _hub_folder(checkpoint, "model") is None:
        problems.append(f"'{checkpoint}' has not been brought from the hub")
    if problems:
        raise RouterConfigurationError(
            "A router of kind 'causal_llm' needs a CUDA device and a checkpoint of the Hugging "
            f"Face hub: {'; '.join(problems)}. Use kind 'local', 'bert' or 'mf' here."
        )


def _local_paths(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with every checkpoint as a folder of this machine."""
    resolved = dict(arguments)
    for name in set(_PATH_ARGUMENTS) & set(arguments):
        kind = "dataset" if name in _DATASET_ARGUMENTS else "model"
        value = arguments[name]
        if isinstance(value, str):
            resolved[name] = _folder(value, kind)
        elif isinstance(value, list | tuple):
            resolved[name] = [_folder(str(path), kind) for path in value]
    return resolved


def _folder(path: str, kind: str) -> str:
    if Path(path).exists():
        return str(Path(path).resolve())
    if folder := _hub_folder(path, kind):
        return folder
    option = " --repo-type dataset" if kind == "dataset" else ""
    raise RouterConfigurationError(
        f"There is no folder '{path}' on this machine, and no such repository in its Hugging Face "
        f"cache. Bring it first: hf download{option} {path.strip('/') or 'OWNER/NAME'}."
    )


def _hub_folder(repository: str, kind: str) -> str | None:
    """The folder of a hub repository that was downloaded before."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for hub checkpoints
    from huggingface_hub.errors import (  # noqa: PLC0415
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        return str(snapshot_download(repository, repo_type=kind, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        return None
