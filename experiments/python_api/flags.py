"""The feature flags of the Python API: on or off for all units.

The web application's flags have the same keys, and also percentages and lists.
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

_DOMAIN_FLAG = re.compile(r"routellm_\w+_domain")


class UnknownFlagError(ValueError):
    """An unknown flag. The message names the known ones."""


class FeatureFlags(Mapping[str, bool]):
    """Which parts of RouteLLM are on. Reads like a mapping of key to bool.

    Everything is off except the two tracking flags. `general` and custom domains follow
    ROUTELLM_ENABLED until their flag `routellm_<name>_domain` is set.
    """

    ROUTELLM_ENABLED = "routellm_enabled"
    ROUTELLM_COST_TRACKING = "routellm_cost_tracking"
    ROUTELLM_PERFORMANCE_MONITORING = "routellm_performance_monitoring"
    ROUTELLM_MEDICAL_DOMAIN = "routellm_medical_domain"
    ROUTELLM_LEGAL_DOMAIN = "routellm_legal_domain"
    ROUTELLM_CREATIVE_DOMAIN = "routellm_creative_domain"
    ROUTELLM_TECHNICAL_DOMAIN = "routellm_technical_domain"
    ROUTELLM_SCIENTIFIC_DOMAIN = "routellm_scientific_domain"
    ROUTELLM_FINANCIAL_DOMAIN = "routellm_financial_domain"
    ROUTELLM_EDUCATIONAL_DOMAIN = "routellm_educational_domain"
    ROUTELLM_GENERAL_DOMAIN = "routellm_general_domain"
    ROUTELLM_DYNAMIC_THRESHOLD = "routellm_dynamic_threshold"
    ROUTELLM_A_B_TESTING = "routellm_a_b_testing"
    ROUTELLM_QUALITY_FEEDBACK = "routellm_quality_feedback"

    DEFAULTS: ClassVar[Mapping[str, bool]] = {
        ROUTELLM_ENABLED: False,
        ROUTELLM_COST_TRACKING: True,
        ROUTELLM_PERFORMANCE_MONITORING: True,
        ROUTELLM_MEDICAL_DOMAIN: False,
        ROUTELLM_LEGAL_DOMAIN: False,
        ROUTELLM_CREATIVE_DOMAIN: False,
        ROUTELLM_TECHNICAL_DOMAIN: False,
        ROUTELLM_SCIENTIFIC_DOMAIN: False,
        ROUTELLM_FINANCIAL_DOMAIN: False,
        ROUTELLM_EDUCATIONAL_DOMAIN: False,
        ROUTELLM_DYNAMIC_THRESHOLD: False,
        ROUTELLM_A_B_TESTING: False,
        ROUTELLM_QUALITY_FEEDBACK: False,
    }

    def __init__(self, flags: Mapping[str, bool] | None = None) -> None:
        self._flags = dict(self.DEFAULTS)
        self.update_flags(flags or {})

    @staticmethod
    def domain_flag(domain: str) -> str:
        """The key of a domain's flag."""
        return f"routellm_{domain}_domain"

    def is_enabled(self, flag: str) -> bool:
        """Whether the flag is on. An unknown flag is off."""
        return self._flags.get(flag, False)

    def is_domain_enabled(self, domain: str) -> bool:
        """Whether the domain's own flag is on, whatever ROUTELLM_ENABLED says. A domain without a
        flag of its own follows ROUTELLM_ENABLED."""
        flag = self.domain_flag(domain)
        return self.is_enabled(flag if flag in self._flags else self.ROUTELLM_ENABLED)

    def enable(self, flag: str) -> None:
        self.update_flags({flag: True})

    def disable(self, flag: str) -> None:
        self.update_flags({flag: False})

    def update_flags(self, flags: Mapping[str, bool]) -> None:
        """Sets several at once, or none if one of them is unknown."""
        for flag, value in flags.items():
            self._check(flag, value)
        self._flags.update(flags)

    def get_all_flags(self) -> dict[str, bool]:
        return dict(self._flags)

    def __getitem__(self, flag: str) -> bool:
        return self._flags[flag]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def __repr__(self) -> str:
        on = ", ".join(flag for flag, value in self._flags.items() if value)
        return f"<FeatureFlags on: {on or 'none'}>"

    def _check(self, flag: str, value: bool) -> None:
        if flag not in self._flags and not _DOMAIN_FLAG.fullmatch(flag):
            raise UnknownFlagError(
                f"Unknown flag '{flag}'. Known flags: {', '.join(self._flags)}; "
                "a domain of your own has routellm_<name>_domain."
            )
        if not isinstance(value, bool):
            raise TypeError(f"Flag '{flag}' is on (True) or off (False), not {value!r}.")
