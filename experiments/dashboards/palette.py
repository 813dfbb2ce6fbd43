"""One colour, mark and dash per tier, model and arm, the same in every chart.

Colours are Okabe and Ito's, which readers with any colour vision can distinguish. A figure names a
colour as a CSS variable, and the page's script resolves it in the current theme. The values below
are those of `experiments/static/css/tokens.css`, for drawing without a page.
"""

from collections.abc import Iterable
from typing import NamedTuple

from experiments.analytics.chart_rows import Tier


class Tone(NamedTuple):
    """A colour of the palette in the light and the dark theme."""

    name: str
    light: str
    dark: str

    @property
    def css(self) -> str:
        return f"var(--chart-{self.name})"

    @property
    def band(self) -> str:
        """The same colour, faint, for intervals and areas."""
        return f"var(--chart-{self.name}-band)"


STRONG = Tone("strong", "#0072b2", "#3d9fdd")
WEAK = Tone("weak", "#e69f00", "#e69f00")
CONTROL = Tone("control", "#7a828a", "#8f98a1")
GREEN = Tone("green", "#009e73", "#1fb88c")
PURPLE = Tone("purple", "#cc79a7", "#d78bb5")
SKY = Tone("sky", "#56b4e9", "#56b4e9")
WORSE = Tone("worse", "#d55e00", "#f0782a")
"""For worse results and faults only; never a series."""
TONES = (STRONG, WEAK, CONTROL, GREEN, PURPLE, SKY, WORSE)

INK = "var(--ink)"
QUIET = "var(--quiet)"
HAIRLINE = "var(--hairline)"
EDGE = "var(--edge)"
PAPER = "var(--paper)"


class SeriesStyle(NamedTuple):
    """The look of a series: a colour, and a shape that works without colours."""

    tone: Tone
    symbol: str
    dash: str


_TIERS: dict[Tier, SeriesStyle] = {
    "strong": SeriesStyle(STRONG, "square", "solid"),
    "weak": SeriesStyle(WEAK, "circle", "solid"),
    "selected": SeriesStyle(CONTROL, "diamond", "dot"),
}
_CONTROL = SeriesStyle(CONTROL, "square", "dot")
_HUES = (GREEN, PURPLE, SKY, STRONG, WEAK)
_SYMBOLS = ("circle", "diamond", "triangle-up", "star")
_DASHES = ("solid", "dash", "dashdot", "longdash")


def of_tier(tier: Tier) -> SeriesStyle:
    return _TIERS[tier]


def of_series(names: Iterable[str], *, control: str | None = None) -> dict[str, SeriesStyle]:
    """A style for each model or arm, by its position in `names`; the control arm is grey.

    Pass all names, in the order of creation, in every chart: then a model or an arm has the same
    style on all pages. The shape changes with the colour, and again when colours repeat.
    """
    others = [name for name in names if name != control]
    looks = {name: _series(place) for place, name in enumerate(others)}
    return looks if control is None else {control: _CONTROL, **looks}


def _series(place: int) -> SeriesStyle:
    turn = place + place // len(_HUES)
    return SeriesStyle(
        _HUES[place % len(_HUES)],
        _SYMBOLS[turn % len(_SYMBOLS)],
        _DASHES[turn % len(_DASHES)],
    )
