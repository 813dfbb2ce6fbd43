"""Forms of configuration rows: stale forms are refused; lists have one entry per line."""

import json
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.forms.fields import InvalidJSONInput
from django.forms.formsets import DELETION_FIELD_NAME
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from experiments.configuration.history import Happened, changes_since
from experiments.core.text import find_unstorable, is_too_deep
from experiments.lab.training import offered_routers

NOTE_LENGTH = 500


def offer_useful_routers(form: forms.ModelForm) -> None:  # type: ignore[type-arg]
    """Leave out trained routers with a shortcoming, except the chosen one."""
    field = form.fields.get("router")
    if isinstance(field, forms.ModelChoiceField):
        field.queryset = offered_routers(form.instance.router_id)


class LinesField(forms.CharField):
    """A list of words or phrases, one per line. Blank lines and duplicates are dropped."""

    def __init__(self, *, rows: int = 6, **kwargs: Any) -> None:
        kwargs.setdefault("required", False)
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": rows, "cols": 60}))
        super().__init__(**kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = (line.strip() for line in (super().to_python(value) or "").splitlines())
        return list(dict.fromkeys(line for line in lines if line))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class TextField(forms.CharField):
    """Text of several lines. Browsers change line ends, which does not count as an edit."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.to_python(initial), self.to_python(data))


class _ShallowDecoder(json.JSONDecoder):
    """Treats JSON that is nested too deeply as invalid, because it could not be written again."""

    def decode(self, s: str, *where: Any) -> Any:
        try:
            document = super().decode(s, *where)
        except RecursionError:
            raise json.JSONDecodeError("nested too deeply", s, 0) from None
        if is_too_deep(document, s.encode(errors="replace")):
            raise json.JSONDecodeError("nested too deeply", s, 0)
        return document


class DocumentField(forms.JSONField):
    """JSON. Values that a database cannot store, such as an escaped NUL, are refused."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "decoder": _ShallowDecoder})

    def to_python(self, value: Any) -> Any:
        document = super().to_python(value)
        if found := find_unstorable(document, numbers=True):
            raise forms.ValidationError(f"{found.field or 'It'} {found}")
        return document

    def bound_data(self, data: Any, initial: Any) -> Any:
        """The text as typed, if it cannot be written again."""
        document = super().bound_data(data, initial)
        return InvalidJSONInput(data) if find_unstorable(document, numbers=True) else document


class WordsField(forms.MultipleChoiceField):
    """A choice from a known set of words, as check boxes."""

    widget = forms.CheckboxSelectMultiple

    def has_changed(self, initial: Any, data: Any) -> bool:
        return set(initial or []) != set(data or [])


class ConfigurationForm(forms.ModelForm):  # type: ignore[type-arg]
    """Knows the version of the row it shows, and is refused if another user saved a newer one.

    `ConfigurationAdmin` fills in the class attributes of each request's own subclass.
    """

    section: ClassVar[str] = ""
    newest_revision: ClassVar[int | None] = None
    refusal: ClassVar[str] = ""
    BOOKKEEPING: ClassVar[frozenset[str]] = frozenset({"version", "revision_seen", "note"})

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    revision_seen = forms.IntegerField(required=False, widget=forms.HiddenInput)
    note = forms.CharField(
        required=False,
        max_length=NOTE_LENGTH,
        help_text="The reason, shown in the history.",
        widget=forms.TextInput(attrs={"size": 60}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["version"] = self.instance.version
        self.initial["revision_seen"] = self.newest_revision

    @cached_property
    def changed_data(self) -> list[str]:
        return [name for name in super().changed_data if name not in self.BOOKKEEPING]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.refusal:
            self.add_error(None, self.refusal)
        elif self._is_stale():
            self._refuse_stale()
        return cleaned

    def _is_stale(self) -> bool:
        seen = self.cleaned_data.get("version")
        return self.instance.pk is not None and seen is not None and seen != self.instance.version

    def _refuse_stale(self) -> None:
        """The next submit of this page includes the new version, so it may replace it."""
        seen = self.cleaned_data.get("revision_seen") or 0
        self.add_error(None, _stale_message(self.instance, self._changes_since(seen)))
        data: Any = self.data.copy()  # type: ignore[attr-defined]
        data[self.add_prefix("version")] = str(self.instance.version)
        data[self.add_prefix("revision_seen")] = str(self.newest_revision or "")
        self.data = data

    def _changes_since(self, number: int) -> list[Happened]:
        return changes_since(number, self.section, document_name(self.instance))


class ListForm(ConfigurationForm):
    """A row of an editable list. Rows that the operator did not change are never written.

    The fields contain the values that the page showed, so that another operator's save does not
    look like a change made here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if name not in self.BOOKKEEPING and not field.widget.is_hidden:
                field.show_hidden_initial = True
                field.help_text = ""  # the column's heading is enough
                name_field(field, name, f"of {self.instance}")

    def _is_stale(self) -> bool:
        return super()._is_stale() and self.has_changed()


class InlineForm(forms.ModelForm):  # type: ignore[type-arg]
    """A row of a table of fields. Fields get labels, because screen readers ignore headings."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, field in self.fields.items():
            if not field.widget.is_hidden:
                name_field(field, name)


class InlineFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]
    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if field := form.fields.get(DELETION_FIELD_NAME):
            name_field(field, DELETION_FIELD_NAME, str(form.instance) if form.instance.pk else "")


def name_field(field: forms.Field, name: str, of: str = "") -> None:
    """Names a field that has no visible label."""
    label = field.label or name.replace("_", " ").capitalize()
    field.widget.attrs["aria-label"] = f"{label} {of}".strip()


def document_name(row: Any) -> str:
    """The row's name in a revision's document; the settings have none."""
    return str(getattr(row, "name", None) or getattr(row, "key", ""))


def _stale_message(row: Any, happened: list[Happened]) -> SafeString:
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    what = format_html_join(
        " ",
        "{} changed {} at {} UTC (revision {}): {}.",
        (
            (h.author, row, f"{h.created_at:%H:%M}", h.number, "; ".join(str(c) for c in h.changes))
            for h in happened
        ),
    )
    return format_html(
        "{} Your changes are not saved yet; your input is still in the form. Save again to "
        'replace the other changes, or <a href="{}">load the saved version</a>.',
        what or format_html("Another user saved {} while you were editing it.", row),
        url,
    )
