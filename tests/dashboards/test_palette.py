"""One colour a thing, and the same in style sheet and figures."""

import re
from pathlib import Path

from experiments.dashboards.palette import CONTROL, GREEN, PURPLE, TONES, of_series, of_tier

STATIC = Path(__file__).parents[2] / "experiments" / "static"
TOKENS = (STATIC / "css" / "tokens.css").read_text()


def test_the_style_sheet_has_the_same_colours() -> None:
    for tone in TONES:
        assert f"--chart-{tone.name}: light-dark({tone.light}, {tone.dark});" in TOKENS


def test_every_colour_has_a_faint_one_for_bands() -> None:
    for tone in TONES:
        assert re.search(
            rf"--chart-{tone.name}-band: light-dark\({tone.light}\w\w, {tone.dark}\w\w\);", TOKENS
        )


def test_only_the_tokens_name_colours() -> None:
    named = {
        sheet.name: re.findall(r"#[0-9a-f]{3,8}\b(?=[;,) ])", sheet.read_text())
        for sheet in (STATIC / "css").glob("*.css")
        if sheet.name != "tokens.css"
    }
    assert all(colours == [] for colours in named.values()), named


def test_tiers_differ_in_colour_and_in_shape() -> None:
    looks = [of_tier("strong"), of_tier("weak"), of_tier("selected")]
    assert len({look.tone for look in looks}) == 3
    assert len({look.symbol for look in looks}) == 3


def test_the_control_arm_is_grey_wherever_it_stands() -> None:
    assert of_series(["a", "control", "b"], control="control")["control"].tone == CONTROL


def test_an_arm_keeps_its_look_when_another_is_added() -> None:
    two = of_series(["control", "a"], control="control")
    three = of_series(["control", "a", "b"], control="control")
    assert two["a"] == three["a"]
    assert (three["a"].tone, three["b"].tone) == (GREEN, PURPLE)


def test_ten_series_all_look_different() -> None:
    looks = of_series([f"model-{number}" for number in range(10)]).values()
    assert len({(look.tone, look.symbol) for look in looks}) == 10
    assert len({(look.tone, look.dash) for look in looks}) == 10
