"""Verdicts of experiments: effects, sequential tests, health checks, power."""
