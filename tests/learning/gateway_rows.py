"""An installation whose pair and judge are at a stub provider, with an operator."""

from decimal import Decimal

from django.contrib.auth.models import User

from experiments.configuration.revisions import revision
from experiments.models import LanguageModel, ModelPrice, ProviderEndpoint, RoutingSettings


def set_up(url: str, password: str) -> None:
    User.objects.create_superuser("ada", password=password)
    with revision("tests"):
        endpoint = ProviderEndpoint.objects.create(name="stub", base_url=url, retries=0)
        models = {
            name: _model(name, endpoint, price)
            for name, price in (("strong", 20), ("weak", 1), ("judge", 1))
        }
        RoutingSettings.objects.update(
            strong_model=models["strong"],
            weak_model=models["weak"],
            judge_model=models["judge"],
        )


def _model(name: str, endpoint: ProviderEndpoint, price: int) -> LanguageModel:
    row = LanguageModel.objects.create(name=f"stub/{name}", provider="stub", endpoint=endpoint)
    ModelPrice.objects.create(
        model=row, input_per_million=Decimal(price), output_per_million=Decimal(4 * price)
    )
    return row
