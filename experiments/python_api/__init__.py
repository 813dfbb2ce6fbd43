"""The implementation behind `experiments.domain_router`."""
