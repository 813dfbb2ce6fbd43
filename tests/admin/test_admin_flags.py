"""The pages of flags: previews before percentages, lists of units, the kill switch."""

import re
from decimal import Decimal
from typing import Any

from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from experiments.models import Flag, FlagEntry, PolicyRevision
from experiments.storage.unit_hash import hash_unit
from tests.admin.conftest import Submit, errors_of, fields_of
from tests.admin.decision_rows import store_units

LIST = "/admin/experiments/flag/"
TECHNICAL = "routellm_technical_domain"


def page(key: str = TECHNICAL) -> str:
    return reverse("admin:experiments_flag_change", args=[Flag.objects.get(key=key).pk])


def row_of(client: Client, key: str) -> str:
    """The prefix of a flag's fields in the list."""
    forms: Any = client.get(LIST).context["cl"].formset.forms
    return str(next(form.prefix for form in forms if form.instance.key == key))


def confirmed(response: Any, **changes: str) -> dict[str, Any]:
    """What the preview page sends when its button is pressed."""
    assert "Preview" in response.content.decode()
    hidden = re.findall(
        r'<input type="hidden" name="([^"]+)" value="([^"]*)">', response.content.decode()
    )
    return {**{k: v for k, v in hidden if k != "csrfmiddlewaretoken"}, **changes}


def start_at(key: str, percentage: int) -> None:
    """Outside any submit: what the tests begin with."""
    Flag.objects.filter(key=key).update(percentage=percentage)


def test_changed_percentage_is_previewed_and_not_saved(operator: Client, submit: Submit) -> None:
    start_at(TECHNICAL, 5)
    store_units(TECHNICAL, "technical", buckets=range(0, 10_000, 10))
    response = submit(operator, LIST, **{f"{row_of(operator, TECHNICAL)}-percentage": "25"})
    content = response.content.decode()
    assert "from 5 % to 25 %" in content
    assert "Of the last 1,000 units, 200 would turn on and 0 would turn off." in content
    assert Flag.objects.get(key=TECHNICAL).percentage == 5
    assert PolicyRevision.objects.count() == 1


def test_lowered_percentage_counts_who_leaves(operator: Client, submit: Submit) -> None:
    start_at(TECHNICAL, 50)
    store_units(TECHNICAL, "technical", buckets=range(0, 10_000, 10))
    response = submit(operator, page(), percentage="49.9")
    assert "0 would turn on and 1 would turn off" in response.content.decode()


def test_only_the_newest_decision_of_the_last_thousand_units_counts(
    operator: Client, submit: Submit
) -> None:
    start_at(TECHNICAL, 0)
    store_units(TECHNICAL, "technical", buckets=[9_999] * 30, first=5_000)  # the oldest
    store_units(TECHNICAL, "technical", buckets=[1] * 1_000)
    store_units(TECHNICAL, "technical", buckets=[1] * 1_000)  # the same units again
    response = submit(operator, page(), percentage="1")
    assert "Of the last 1,000 units, 1,000 would turn on" in response.content.decode()


def test_listed_units_do_not_move(operator: Client, submit: Submit) -> None:
    start_at(TECHNICAL, 0)
    store_units(TECHNICAL, "technical", buckets=[1, 2, 3])
    flag = Flag.objects.get(key=TECHNICAL)
    flag.entries.create(kind="deny", unit_hash=f"{0:032x}", label="Anna")
    flag.entries.create(kind="allow", unit_hash=f"{1:032x}", label="Ben")
    response = submit(operator, page(), percentage="50")
    assert "Of the last 3 units, 1 would turn on" in response.content.decode()


def test_decisions_of_other_domains_do_not_count(operator: Client, submit: Submit) -> None:
    start_at(TECHNICAL, 0)
    store_units("routellm_legal_domain", "legal", buckets=[1, 2, 3])
    response = submit(operator, page(), percentage="50")
    assert "No stored decision has used this flag yet" in response.content.decode()


def test_master_flag_counts_units_of_every_domain(operator: Client, submit: Submit) -> None:
    store_units("routellm_enabled", "legal", buckets=[9_999])
    store_units("routellm_enabled", "medical", buckets=[9_998], first=50)
    response = submit(operator, page("routellm_enabled"), percentage="10")
    assert "Of the last 2 units, 0 would turn on and 2 would turn off" in response.content.decode()


def test_confirmed_list_is_saved_as_one_revision_with_its_note(
    operator: Client, submit: Submit
) -> None:
    legal, medical = (row_of(operator, f"routellm_{name}_domain") for name in ("legal", "medical"))
    changes = {f"{legal}-percentage": "5", f"{medical}-percentage": "0.01"}
    preview = submit(operator, LIST, **changes)
    response = operator.post(LIST, confirmed(preview, note="first steps"))
    assert response.status_code == 302
    assert Flag.objects.get(key="routellm_legal_domain").percentage == 5
    assert Flag.objects.get(key="routellm_medical_domain").percentage == Decimal("0.01")
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert (newest.number, newest.note, newest.author_name) == (2, "first steps", "olga")


def test_confirmed_form_is_saved(operator: Client, submit: Submit) -> None:
    preview = submit(operator, page(), percentage="12.5")
    assert operator.post(page(), confirmed(preview)).status_code == 302
    assert Flag.objects.get(key=TECHNICAL).percentage == Decimal("12.5")


def test_description_alone_needs_no_preview(operator: Client, submit: Submit) -> None:
    assert submit(operator, page(), description="Code").status_code == 302


def test_switch_takes_all_or_nothing(operator: Client, submit: Submit) -> None:
    url = page("routellm_cost_tracking")
    assert "Enter 0 or 100" in errors_of(submit(operator, url, percentage="50"))
    preview = submit(operator, url, percentage="0").content.decode()
    assert "This switches it off for all units at once." in preview


def test_percentage_out_of_range_or_too_fine(operator: Client, submit: Submit) -> None:
    for percentage in ("100.01", "-1", "0.001", "many"):
        response = submit(operator, page(), percentage=percentage)
        assert "Preview" not in response.content.decode()
        assert response.status_code == 200


def test_stale_list_is_refused_after_the_preview_too(
    operator: Client, colleague: Client, submit: Submit
) -> None:
    prefix = row_of(operator, TECHNICAL)
    mine = submit(operator, LIST, **{f"{prefix}-percentage": "40"})
    theirs = submit(colleague, LIST, **{f"{prefix}-percentage": "60"})
    colleague.post(LIST, confirmed(theirs))
    response = operator.post(LIST, confirmed(mine))
    assert "carl changed" in response.content.decode()
    assert Flag.objects.get(key=TECHNICAL).percentage == 60


def entry(index: int, **fields: str) -> dict[str, Any]:
    return {
        "entries-TOTAL_FORMS": index + 1,
        **{f"entries-{index}-{name}": value for name, value in fields.items()},
    }


def test_listed_unit_is_kept_as_a_hash_and_never_shown(operator: Client, submit: Submit) -> None:
    listed = entry(0, kind="allow", label="Pilot customer", unit_id="customer-4711")
    assert submit(operator, page(), **listed).status_code == 302
    kept = FlagEntry.objects.get()
    assert kept.unit_hash == hash_unit("customer-4711")
    content = operator.get(page()).content.decode()
    assert "Pilot customer" in content
    assert "customer-4711" not in content
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert "customer-4711" not in str(newest.document)


def test_unit_that_is_listed_already(operator: Client, submit: Submit) -> None:
    submit(operator, page(), **entry(0, kind="allow", label="Pilot", unit_id="customer-4711"))
    again = entry(1, kind="deny", label="Other", unit_id="customer-4711")
    response = submit(operator, page(), **again)
    assert "already listed as “Pilot”" in errors_of(response)
    assert FlagEntry.objects.count() == 1


def test_listed_unit_needs_its_id(operator: Client, submit: Submit) -> None:
    response = submit(operator, page(), **entry(0, kind="allow", label="Pilot", unit_id=""))
    assert "This field is required" in errors_of(response)


def test_label_of_a_listed_unit_is_edited(operator: Client, submit: Submit) -> None:
    submit(operator, page(), **entry(0, kind="allow", label="Pilot", unit_id="customer-4711"))
    submit(operator, page(), **{"entries-0-label": "Pilot 2"})
    kept = FlagEntry.objects.get()
    assert (kept.label, kept.unit_hash) == ("Pilot 2", hash_unit("customer-4711"))


def test_kill_switch_acts_at_once_as_one_revision(operator: Client) -> None:
    assert "Switch off for all units now" in operator.get(LIST).content.decode()
    response = operator.post(reverse("admin:experiments_flag_kill_switch"), follow=True)
    assert Flag.objects.get(key="routellm_enabled").percentage == 0
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert (newest.number, newest.note) == (2, "Kill switch")
    content = response.content.decode()
    assert "■ RouteLLM is off for all units" in content
    assert "/admin/experiments/policyrevision/1/roll-back/" in content


def test_kill_switch_is_not_for_links(operator: Client) -> None:
    assert operator.get(reverse("admin:experiments_flag_kill_switch")).status_code == 405


def test_flags_cannot_be_added_or_deleted(administrator: Client) -> None:
    assert administrator.get(reverse("admin:experiments_flag_add")).status_code == 403
    row = Flag.objects.get(key=TECHNICAL)
    url = reverse("admin:experiments_flag_delete", args=[row.pk])
    assert administrator.post(url, {"post": "yes"}).status_code == 403


def test_list_queries_do_not_grow_with_flags(
    operator: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(10):
        assert operator.get(LIST).status_code == 200


def test_untouched_page_changes_nothing(operator: Client) -> None:
    assert operator.post(LIST, fields_of(operator.get(LIST))).status_code == 302  # type: ignore[arg-type]
    assert PolicyRevision.objects.count() == 1
