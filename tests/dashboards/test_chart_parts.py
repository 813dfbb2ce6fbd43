"""The includes that every page is made of, rendered as a page would."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string

from experiments.dashboards.charts import (
    ChartColumn,
    ChartTable,
    chart,
    instant,
    money,
    number,
    word,
)
from experiments.dashboards.figures import cost_by_day
from experiments.dashboards.finders import PlotlyFinder
from experiments.dashboards.sparklines import sparkline

TEMPLATES = Path(__file__).parents[2] / "experiments" / "templates"


class Step(NamedTuple):
    name: str
    fact: str
    state: str = "passed"
    details: tuple[tuple[str, str], ...] = ()
    branches: tuple[tuple[str, str], ...] = ()


def explanation(*steps: Step) -> str:
    return render_to_string("includes/explanation.html", {"steps": steps})


def a_chart(table: ChartTable | None = None) -> str:
    drawn = chart("cost", "Cost per day", "It fell.", cost_by_day([], baseline="none"), table)
    return render_to_string("includes/chart.html", {"chart": drawn})


def test_a_step_with_details_opens() -> None:
    html = explanation(Step("flag", "on (25 %)", details=(("bucket", "0.1234"),)))
    assert "<summary>" in html
    assert "<dt>bucket</dt><dd>0.1234</dd>" in html


def test_a_step_without_details_does_not_pretend_to_open() -> None:
    assert "<details>" not in explanation(Step("prompt", "142 tokens"))


def test_alternatives_branch_off_with_reasons() -> None:
    html = explanation(
        Step("model", "openai/a", "taken", branches=(("weak", "not taken: $0.0001"),))
    )
    assert 'aria-label="Alternatives at model"' in html
    assert "not taken: $0.0001" in html


@pytest.mark.parametrize(
    ("state", "words"), [("taken", "(taken)"), ("off", "(not used)"), ("fault", "(fault)")]
)
def test_a_state_is_also_said_in_words(state: str, words: str) -> None:
    assert words in explanation(Step("score", "0.42", state))


def test_what_a_prompt_holds_is_escaped() -> None:
    assert "<script>" not in explanation(Step("prompt", "<script>alert(1)</script>"))


def test_a_chart_says_its_sentence_before_and_instead_of_the_picture() -> None:
    html = a_chart()
    assert '<p class="sentence">It fell.</p>' in html
    assert 'role="img" aria-label="Cost per day. It fell."' in html
    assert '<script id="cost" type="application/json">{' in html


def test_a_chart_with_a_table_can_be_opened_and_saved() -> None:
    at = datetime(2026, 11, 20, 12, tzinfo=UTC)
    cells = ((instant(at), word("strong"), money(14_500_000_000), number(0.91234, 2)),)
    columns = (
        ChartColumn("from"),
        ChartColumn("tier"),
        ChartColumn("cost", "$", True),
        ChartColumn("quality", "", True),
    )
    html = a_chart(ChartTable("Cost", columns, cells))
    assert "Show the numbers" in html
    assert "data-chart-csv" in html
    assert '<time datetime="2026-11-20T12:00:00Z">2026-11-20 12:00 UTC</time>' in html
    assert '<data value="14.5">14.50</data>' in html
    assert '<data value="0.91234">0.91</data>' in html


def test_a_chart_without_a_table_offers_no_csv() -> None:
    assert "data-chart-csv" not in a_chart()


def test_below_zero_has_a_minus_sign_and_its_exact_value() -> None:
    cell = number(-0.684, 2)
    assert (cell.text, cell.exact) == ("\N{MINUS SIGN}0.68", "-0.684")


def test_what_is_not_known_is_a_word_in_a_table() -> None:
    assert money(None).text == "no price"
    assert number(None, otherwise="too few: 12 of 100").text == "too few: 12 of 100"


def test_a_sparkline_says_what_it_shows() -> None:
    spark = sparkline([1.0, 2.0], label="cost rose")
    html = render_to_string("includes/sparkline.html", {"spark": spark})
    assert 'aria-label="cost rose"' in html
    assert '<path d="M2 22L94 2"/>' in html


def test_an_empty_page_says_what_fills_it() -> None:
    html = render_to_string(
        "includes/empty.html", {"will_show": "Costs by day.", "command": "manage.py demo"}
    )
    assert "Costs by day." in html
    assert "<code>manage.py demo</code>" in html


def test_no_template_has_an_inline_style_or_script() -> None:
    offending = re.compile(r"""\sstyle=|<style|<script(?![^>]*\ssrc=)|\son[a-z]+=["']""")
    for template in TEMPLATES.rglob("*.html"):
        assert not offending.search(template.read_text()), template


def test_plotlys_script_is_found() -> None:
    found = finders.find("plotly.min.js")
    assert isinstance(found, str)
    assert Path(found).stat().st_size > 1_000_000


def test_the_finder_brings_nothing_but_the_script() -> None:
    assert [path for path, _ in PlotlyFinder().list(None)] == ["plotly.min.js"]
    assert PlotlyFinder().find("widgetbundle.js") is None
    assert PlotlyFinder().find("widgetbundle.js", find_all=True) == []
