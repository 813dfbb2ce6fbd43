"""Statistics of guarded rollouts."""
