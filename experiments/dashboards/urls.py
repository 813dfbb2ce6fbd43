"""Addresses of the pages. Their names match the navigation."""

from django.urls import path

from experiments.dashboards import (
    calibration,
    chat,
    cost_quality,
    decisions,
    domains,
    experiment_actions,
    experiments,
    exports,
    judging,
    lab,
    lab_evaluation,
    lab_training,
    models,
    overview,
    playground,
    rollout_actions,
    rollouts,
    what_if,
)

app_name = "dashboards"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("domains/", domains.domains, name="domains"),
    path("domains/<slug:name>/", domains.domain, name="domain"),
    path("cost-and-quality/", cost_quality.cost_quality, name="cost_quality"),
    path("decisions/", decisions.decisions, name="decisions"),
    path("decisions/export.csv", exports.as_csv, name="decisions_csv"),
    path("decisions/export.parquet", exports.as_parquet, name="decisions_parquet"),
    path("decisions/<uuid:decision_id>/", decisions.decision, name="decision"),
    path("experiments/", experiments.experiments, name="experiments"),
    path("experiments/<slug:key>/", experiments.experiment, name="experiment"),
    path("experiments/<slug:key>/<slug:action>/", experiment_actions.act, name="experiment_act"),
    path("rollouts/", rollouts.rollouts, name="rollouts"),
    path("rollouts/<slug:key>/<slug:action>/", rollout_actions.act, name="rollout_act"),
    path("lab/", lab.lab, name="lab"),
    path("lab/tasks/<int:task_id>/cancel/", lab.cancel_task, name="lab_cancel"),
    path("lab/evaluation/", lab_evaluation.evaluation, name="lab_evaluation"),
    path("lab/evaluation/score/", lab_evaluation.score, name="lab_score"),
    path("lab/training/", lab_training.training, name="lab_training"),
    path("lab/training/<slug:name>/draft/", lab_training.draft, name="lab_draft"),
    path("lab/calibration/", calibration.calibration, name="lab_calibration"),
    path("lab/calibration/<slug:action>/", calibration.act, name="lab_calibration_act"),
    path("lab/what-if/", what_if.what_if, name="lab_what_if"),
    path("lab/what-if/<slug:action>/", what_if.act, name="lab_what_if_act"),
    path("playground/", playground.playground, name="playground"),
    path("chat/", chat.chat, name="chat"),
    path("chat/decisions/<uuid:decision_id>/", chat.why, name="chat_why"),
    path("chat/decisions/<uuid:decision_id>/rating/", chat.rate, name="chat_rate"),
    path("models/", models.models, name="models"),
    path("judging/", judging.judging, name="judging"),
]
