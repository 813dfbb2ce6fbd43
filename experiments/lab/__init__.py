"""Evaluates and trains routers, proposes thresholds, estimates other policies from the log."""
