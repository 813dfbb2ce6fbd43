"""Routers: what gives a prompt its score."""

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from experiments.models.base import ConfigurationRow, NamedInSteps, on_one_line
from experiments.storage.lab_files import with_stored_paths

LOCAL_KINDS = ("local", "local_mf", "knn", "linear")
KINDS = (
    ("local", "local: trained here, no key, no network"),
    ("local_mf", "local_mf: RouteLLM's matrix factorisation on local embeddings"),
    ("knn", "knn: outcomes of the most similar prompts, trained here"),
    ("linear", "linear: one regression a model on the embedding, trained here"),
    ("random", "random: a coin, for comparison"),
    ("mf", "mf: RouteLLM's matrix factorisation (asks OpenAI for embeddings)"),
    ("bert", "bert: RouteLLM's classifier (needs its checkpoint)"),
    ("sw_ranking", "sw_ranking: RouteLLM's similarity-weighted Elo (asks OpenAI)"),
    ("causal_llm", "causal_llm: RouteLLM's Llama classifier (needs CUDA)"),
)


def kind_choices() -> list[tuple[str, str]]:
    """RouteLLM's, ours, and those that ROUTER_CLASSES names."""
    own = settings.ROUTER_CLASSES.items()
    return [*KINDS, *((kind, f"{kind}: your own, {path}") for kind, path in own)]


class Router(NamedInSteps, ConfigurationRow):
    """A router by name. RouteLLM's model strings hold the name, so it has no hyphen."""

    step_key = "router"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z][a-z0-9_]*\Z",
                "Use small letters, digits and underscores: a hyphen would break RouteLLM's "
                "model strings (router-NAME-THRESHOLD).",
            )
        ],
        help_text="Small letters, digits, underscores. Part of the model string router-NAME-0.5.",
    )
    kind = models.CharField(
        max_length=20,
        choices=kind_choices,
        help_text="Which of the routers this is.",
    )
    arguments = models.JSONField(
        default=dict,
        blank=True,
        help_text='Constructor arguments, as JSON: {"checkpoint_path": "/models/bert"}. Paths '
        "below LAB_DIR are stored relative to it. Checked on save by trying to build the router.",
    )
    checkpoint = models.CharField(
        max_length=64,
        blank=True,
        help_text="The sha256 of its weights. Filled in on save for local routers; a different "
        "file is then refused.",
    )
    timeout_seconds = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.01)],
        help_text="How long a prompt may wait for a score before the domain selector answers.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: it is neither loaded nor asked.")

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=on_one_line("name"), name="router_name_on_one_line"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if isinstance(self.arguments, dict):
            self.arguments = with_stored_paths(self.arguments)

    @property
    def is_local(self) -> bool:
        return self.kind in LOCAL_KINDS
