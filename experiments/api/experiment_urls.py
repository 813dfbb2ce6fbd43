"""URLs of experiments and guarded rollouts."""

from django.urls import path

from experiments.api import experiments, rollouts

urlpatterns = [
    path("v1/experiments", experiments.ExperimentsView.as_view()),
    path("v1/experiments/<slug:key>", experiments.ExperimentView.as_view()),
    path("v1/experiments/<slug:key>/start", experiments.StartView.as_view()),
    path("v1/experiments/<slug:key>/pause", experiments.PauseView.as_view()),
    path("v1/experiments/<slug:key>/resume", experiments.ResumeView.as_view()),
    path("v1/experiments/<slug:key>/stop", experiments.StopView.as_view()),
    path("v1/experiments/<slug:key>/archive", experiments.ArchiveView.as_view()),
    path("v1/experiments/<slug:key>/ship", experiments.ShipView.as_view()),
    path("v1/experiments/<slug:key>/clone", experiments.CloneView.as_view()),
    path("v1/experiments/<slug:key>/checklist", experiments.ChecklistView.as_view()),
    path("v1/experiments/<slug:key>/plan", experiments.PlanView.as_view()),
    path("v1/experiments/<slug:key>/results", experiments.ResultsView.as_view()),
    path("v1/rollouts", rollouts.RolloutsView.as_view()),
    path("v1/rollouts/<slug:key>", rollouts.RolloutView.as_view()),
    path("v1/rollouts/<slug:key>/start", rollouts.StartRolloutView.as_view()),
    path("v1/rollouts/<slug:key>/go-on", rollouts.GoOnView.as_view()),
    path("v1/rollouts/<slug:key>/target", rollouts.TargetView.as_view()),
    path("v1/rollouts/<slug:key>/pause", rollouts.PauseRolloutView.as_view()),
    path("v1/rollouts/<slug:key>/resume", rollouts.ResumeRolloutView.as_view()),
    path("v1/rollouts/<slug:key>/roll-back", rollouts.RollBackView.as_view()),
]
