"""Who may do what: groups with permissions, seeded once and then the administrator's to edit.

- viewer: reads everything but API keys and users;
- operator: also edits the configuration, rolls back, and chats through the gateway;
- administrator: also API keys, users and groups.
"""

from collections.abc import Iterable

from django.contrib.auth.models import Group, Permission

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
    "metric",
    "modelprice",
    "outcome",
    "outcomeset",
    "owncall",
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
    "modelprice",
    "providerendpoint",
    "rollout",
    "rolloutstep",
    "router",
)


def _codenames(actions: Iterable[str], models: Iterable[str]) -> set[str]:
    return {f"{action}_{model}" for action in actions for model in models}


_VIEWER = _codenames(["view"], READ)
# Flags belong to the product or a domain, and there is one row of settings: nobody adds or deletes
# them. Adding a revision is rolling back to an earlier one.
_OPERATOR = (
    _VIEWER
    | _codenames(EVERYTHING, EDITED)
    | {
        "delete_outcomeset",
        "change_flag",
        "change_routingsettings",
        "add_policyrevision",
        "use_chat",
    }
)
_ADMINISTRATOR = _OPERATOR | _codenames(EVERYTHING, ["apikey", "user", "group"])

ROLES = {VIEWER: _VIEWER, OPERATOR: _OPERATOR, ADMINISTRATOR: _ADMINISTRATOR}


def seed_roles() -> None:
    """Creates the groups, and brings an existing one only what it cannot have decided about:
    permissions on a model of which it has none and that came after it."""
    known = Permission.objects.filter(content_type__app_label__in=["experiments", "auth"])
    permissions = {permission.codename: permission for permission in known}
    for name, codenames in ROLES.items():
        group, created = Group.objects.get_or_create(name=name)
        wanted = [permissions[codename] for codename in codenames if codename in permissions]
        if not created:
            wanted = _of_new_models(group, wanted)
        group.permissions.add(*wanted)


def _of_new_models(group: Group, wanted: list[Permission]) -> list[Permission]:
    """Content types are numbered as models arrive."""
    newest = max((p.content_type_id for p in group.permissions.all()), default=0)
    return [permission for permission in wanted if permission.content_type_id > newest]
