"""The other model answers too: queue, judging, report."""
