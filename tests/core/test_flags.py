"""The feature flags of the Python API."""

import pytest

from experiments.core.domains import SEEDED_DOMAINS
from experiments.python_api.flags import FeatureFlags, UnknownFlagError


def test_only_the_tracking_flags_are_on_by_default() -> None:
    on = {flag for flag, value in FeatureFlags().get_all_flags().items() if value}
    assert on == {"routellm_cost_tracking", "routellm_performance_monitoring"}


def test_enable_and_disable() -> None:
    flags = FeatureFlags()
    flags.enable(FeatureFlags.ROUTELLM_ENABLED)
    assert flags.is_enabled("routellm_enabled")
    flags.disable(FeatureFlags.ROUTELLM_ENABLED)
    assert not flags.is_enabled("routellm_enabled")


def test_every_seeded_domain_has_a_flag() -> None:
    names = [domain.name for domain in SEEDED_DOMAINS]
    assert {f"routellm_{name}_domain" for name in names} <= set(FeatureFlags())


def test_a_domain_flag_does_not_ask_the_master_flag() -> None:
    flags = FeatureFlags({"routellm_medical_domain": True})
    assert flags.is_domain_enabled("medical")
    assert not flags.is_domain_enabled("legal")


def test_a_domain_of_ones_own_has_a_flag() -> None:
    flags = FeatureFlags()
    assert not flags.is_domain_enabled("cooking")
    flags.enable("routellm_cooking_domain")
    assert flags.is_domain_enabled("cooking")


def test_an_unknown_flag_is_off() -> None:
    assert not FeatureFlags().is_enabled("routellm_magic")


def test_setting_an_unknown_flag_names_those_that_exist() -> None:
    with pytest.raises(UnknownFlagError, match=r"Unknown flag 'routellm_magic'.*routellm_enabled"):
        FeatureFlags().enable("routellm_magic")


def test_an_update_with_an_unknown_flag_changes_nothing() -> None:
    flags = FeatureFlags()
    with pytest.raises(UnknownFlagError):
        flags.update_flags({"routellm_enabled": True, "routellm_magic": True})
    assert not flags.is_enabled("routellm_enabled")


def test_a_flag_is_on_or_off_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="not 25"):
        FeatureFlags({"routellm_enabled": 25})  # type: ignore[dict-item]


def test_the_returned_flags_are_a_copy() -> None:
    flags = FeatureFlags()
    flags.get_all_flags()["routellm_enabled"] = True
    assert not flags.is_enabled("routellm_enabled")


def test_flags_read_like_a_mapping() -> None:
    assert FeatureFlags()["routellm_cost_tracking"] is True
    assert dict(FeatureFlags()) == FeatureFlags().get_all_flags()
