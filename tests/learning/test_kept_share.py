"""The promise: from the 200th request on the strong model gets between 45 and 55 %."""

import pytest

from benchmarks.prompt_streams import STREAMS, stream
from benchmarks.thresholds import ONE_DOMAIN, aim_at, play

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.usefixtures("seeded")]


@pytest.mark.parametrize("domain", [ONE_DOMAIN, None], ids=["one domain", "detected domains"])
@pytest.mark.parametrize("name", STREAMS)
def test_the_share_is_kept(name: str, domain: str | None) -> None:
    aim_at(0.5)
    found = play(list(stream(name, 800, seed=11)), domain)
    assert 0.45 <= found.share <= 0.55


@pytest.mark.parametrize("share", [0.1, 0.8])
def test_other_targets_are_kept_too(share: float) -> None:
    aim_at(share)
    found = play(list(stream("mixed", 600, seed=12)), ONE_DOMAIN)
    assert found.share == pytest.approx(share, abs=0.05)
