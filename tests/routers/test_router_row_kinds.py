"""Which kinds a router's row may have."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from experiments.models import Router
from experiments.models.routers import KINDS as CHOICES
from experiments.routers.kinds import KINDS

pytestmark = pytest.mark.django_db


def test_every_kind_can_be_chosen() -> None:
    assert {name for name, _ in CHOICES} == set(KINDS)


def test_a_kind_of_ones_own_can_be_chosen(settings: Any) -> None:
    settings.ROUTER_CLASSES = {"length": "own_router.LengthRouter"}
    Router(name="long_prompts", kind="length").full_clean()


def test_any_other_kind_is_refused() -> None:
    with pytest.raises(ValidationError, match="'length' is not a valid choice"):
        Router(name="long_prompts", kind="length").full_clean()
