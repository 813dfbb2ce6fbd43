"""How long models may be silent in a new installation."""

from experiments.core.endpoints import Endpoint
from experiments.core.seeded_endpoints import SEEDED_ENDPOINTS
from experiments.models import ProviderEndpoint


def test_models_that_reason_have_time() -> None:
    row = ProviderEndpoint(name="x", base_url="http://x/v1").as_value()
    for endpoint in (Endpoint("x"), row, *SEEDED_ENDPOINTS):
        assert (endpoint.first_token_seconds, endpoint.total_seconds) == (300.0, 900.0)
