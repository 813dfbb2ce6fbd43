"""Experiments: lifecycle, checklists, results, forecasts, shipping."""
