"""Guarded rollouts: lifecycle, steps, monitoring, preview."""
