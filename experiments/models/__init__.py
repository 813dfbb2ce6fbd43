"""Database rows, their constraints, and their conversion to the values of `experiments.core`."""

from experiments.models.aliases import ModelAlias
from experiments.models.calibrations import Calibration
from experiments.models.catalog import LanguageModel, ModelPrice
from experiments.models.decisions import Decision, Feedback, Outcome, PrunedTotal, PruneMark
from experiments.models.domains import Domain, DomainExample
from experiments.models.experiments import (
    Arm,
    DailyResult,
    Experiment,
    ExperimentMetric,
    Metric,
    Phase,
    Replay,
)
from experiments.models.flags import Flag, FlagEntry, RoutingSettings
from experiments.models.gateway import (
    Attempt,
    Circuit,
    KeyUsage,
    LearnedParameter,
    ParameterRule,
    ProviderEndpoint,
    QuotaLease,
)
from experiments.models.keys import APIKey, Scope
from experiments.models.lab import OutcomeScores, OutcomeSet, RecordedOutcome
from experiments.models.learning import (
    LearnedCheckpoint,
    LearningInput,
    LearningRound,
    ServingChange,
)
from experiments.models.logins import LoginAttempt
from experiments.models.processes import InFlightCall, ProcessSuspicion, ServingProcess
from experiments.models.revisions import PolicyRevision
from experiments.models.roles import OfferedPermission
from experiments.models.rollouts import Rollout, RolloutStep
from experiments.models.routers import Router
from experiments.models.shadows import OwnCall, ShadowPair
from experiments.models.stored_responses import StoredResponse
from experiments.models.sums import MetricSum, Rollup, RollupBin, UnitSum
from experiments.models.tasks import BackgroundTask, PeriodicJob
from experiments.models.thresholds import ThresholdTable
from experiments.models.write_probes import WriteProbe

__all__ = [
    "APIKey",
    "Arm",
    "Attempt",
    "BackgroundTask",
    "Calibration",
    "Circuit",
    "DailyResult",
    "Decision",
    "Domain",
    "DomainExample",
    "Experiment",
    "ExperimentMetric",
    "Feedback",
    "Flag",
    "FlagEntry",
    "InFlightCall",
    "KeyUsage",
    "LanguageModel",
    "LearnedCheckpoint",
    "LearnedParameter",
    "LearningInput",
    "LearningRound",
    "LoginAttempt",
    "Metric",
    "MetricSum",
    "ModelAlias",
    "ModelPrice",
    "OfferedPermission",
    "Outcome",
    "OutcomeScores",
    "OutcomeSet",
    "OwnCall",
    "ParameterRule",
    "PeriodicJob",
    "Phase",
    "PolicyRevision",
    "ProcessSuspicion",
    "ProviderEndpoint",
    "PruneMark",
    "PrunedTotal",
    "QuotaLease",
    "RecordedOutcome",
    "Replay",
    "Rollout",
    "RolloutStep",
    "Rollup",
    "RollupBin",
    "Router",
    "RoutingSettings",
    "Scope",
    "ServingChange",
    "ServingProcess",
    "ShadowPair",
    "StoredResponse",
    "ThresholdTable",
    "UnitSum",
    "WriteProbe",
]
