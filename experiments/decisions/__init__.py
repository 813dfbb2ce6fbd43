"""Stored decisions: rows, group commit, running totals, outcomes, recounts, explanation."""
