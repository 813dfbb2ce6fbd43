"""JSON in the admin's forms may be nested as deeply as can be written again."""

import pytest
from django.core.exceptions import ValidationError

from experiments.admin.forms import DocumentField


@pytest.mark.parametrize("depth", [255, 900, 100_000])
def test_too_deep(depth: int) -> None:
    text = "[" * depth + "]" * depth
    field = DocumentField()
    with pytest.raises(ValidationError):
        field.clean(text)
    assert field.bound_data(text, None) == text
    assert field.has_changed([], text)


def test_deep_enough() -> None:
    text = "[" * 254 + "]" * 254
    assert DocumentField(required=False).clean(text)
