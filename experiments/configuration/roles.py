"""Roles: groups with permissions, seeded once; administrators can then edit them.

- viewer: reads everything except API keys and users;
- operator: also edits the configuration, rolls back, and chats through the gateway;
- administrator: also manages API keys, users and groups.
"""

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission

from experiments.models import OfferedPermission

VIEWER, OPERATOR, ADMINISTRATOR = "viewer", "operator", "administrator"
EVERYTHING = ("add", "change", "delete", "view")

READ = (
    "arm",
    "attempt",
    "circuit",
    "dailyresult",
    "decision",
    "domain",
    "domainexample",
    "experiment",
    "experimentmetric",
    "feedback",
    "flag",
    "flagentry",
    "languagemodel",
    "learnedparameter",
    "metric",
    "modelalias",
    "modelprice",
    "outcome",
    "outcomeset",
    "owncall",
    "parameterrule",
    "periodicjob",
    "phase",
    "policyrevision",
    "providerendpoint",
    "rollout",
    "rolloutstep",
    "router",
    "routingsettings",
    "shadowpair",
)
EDITED = (
    "arm",
    "domain",
    "domainexample",
    "experiment",
    "experimentmetric",
    "flagentry",
    "languagemodel",
    "metric",
    "modelalias",
    "modelprice",
    "parameterrule",
    "providerendpoint",
    "rollout",
    "rolloutstep",
    "router",
)


def _codenames(actions: Iterable[str], models: Iterable[str]) -> set[str]:
    return {f"{action}_{model}" for action in actions for model in models}


_VIEWER = _codenames(["view"], READ)
# Flags are built in or belong to a domain, and there is one row of settings, so no role adds or
# deletes them. Adding a revision means rolling back to an earlier one.
_OPERATOR = (
    _VIEWER
    | _codenames(EVERYTHING, EDITED)
    | {
        "delete_outcomeset",
        "delete_learnedparameter",
        "change_flag",
        "change_periodicjob",
        "change_routingsettings",
        "add_policyrevision",
        "use_chat",
    }
)
_ADMINISTRATOR = (
    _OPERATOR | _codenames(EVERYTHING, ["apikey", "user", "group"]) | {"view_loginattempt"}
)

ROLES = {VIEWER: _VIEWER, OPERATOR: _OPERATOR, ADMINISTRATOR: _ADMINISTRATOR}


def seed_roles() -> None:
    """Creates the groups, and gives existing groups new permissions of their role. Each permission
    is given once, so that edits of administrators persist."""
    known = Permission.objects.filter(content_type__app_label__in=["experiments", "auth"])
    permissions = {permission.codename: permission for permission in known}
    offered = set(OfferedPermission.objects.values_list("role", "codename"))
    for name, codenames in ROLES.items():
        group, created = Group.objects.get_or_create(name=name)
        before = set() if created else {codename for role, codename in offered if role == name}
        new = sorted((codenames & permissions.keys()) - before)
        group.permissions.add(*(permissions[codename] for codename in new))
        OfferedPermission.objects.bulk_create(
            (OfferedPermission(role=name, codename=codename) for codename in new),
            ignore_conflicts=True,
        )
