"""Routers, which score prompts."""

from django.conf import settings
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models

from experiments.models.base import ConfigurationRow, NamedInSteps, on_one_line
from experiments.storage.lab_files import with_stored_paths

LEARNED = "learned"
LOCAL_KINDS = ("local", "local_mf", "knn", "linear", "complexity", LEARNED)
KINDS = (
    ("local", "local: trained here, no key, no network"),
    ("local_mf", "local_mf: RouteLLM's matrix factorisation on local embeddings"),
    ("knn", "knn: outcomes of the most similar prompts, trained here"),
    ("linear", "linear: one regression per model on the embedding, trained here"),
    ("complexity", "complexity: LiteLLM's keywords and lengths, no training"),
    (LEARNED, "learned: from your own traffic, created by the learning loop"),
    ("random", "random: random scores, for comparison"),
    ("mf", "mf: RouteLLM's matrix factorisation (embeddings from OpenAI)"),
    ("bert", "bert: RouteLLM's classifier (needs its checkpoint)"),
    ("sw_ranking", "sw_ranking: RouteLLM's similarity-weighted Elo (embeddings from OpenAI)"),
    ("causal_llm", "causal_llm: RouteLLM's Llama classifier (needs CUDA)"),
)


def kind_choices() -> list[tuple[str, str]]:
    """The kinds of RouteLLM and Switchyard, and those in ROUTER_CLASSES."""
    own = settings.ROUTER_CLASSES.items()
    return [*KINDS, *((kind, f"{kind}: your own, {path}") for kind, path in own)]


class Router(NamedInSteps, ConfigurationRow):
    """A router. RouteLLM's model strings contain its name, so the name has no hyphen."""

    step_key = "router"

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=[
            RegexValidator(
                r"^[a-z][a-z0-9_]*\Z",
                "Use lowercase letters, digits and underscores: a hyphen would break RouteLLM's "
                "model strings (router-NAME-THRESHOLD).",
            )
        ],
        help_text="Lowercase letters, digits, underscores. Part of the model string "
        "router-NAME-0.5.",
    )
    kind = models.CharField(
        max_length=20,
        choices=kind_choices,
        help_text="The kind of router.",
    )
    arguments = models.JSONField(
        default=dict,
        blank=True,
        help_text='Constructor arguments as JSON: {"checkpoint_path": "/models/bert"}. Paths in '
        "LAB_DIR are stored relative to it. Saving builds the router to check them.",
    )
    checkpoint = models.CharField(
        max_length=64,
        blank=True,
        help_text="The sha256 of its weights. Set on save for local routers; other files are then "
        "refused.",
    )
    timeout_seconds = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.01)],
        help_text="How long a prompt waits for a score before the domain selector decides.",
    )
    enabled = models.BooleanField(default=True, help_text="Off: the router is not loaded.")

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
