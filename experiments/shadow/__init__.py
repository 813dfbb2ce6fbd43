"""Shadow calls: queue, evaluation by a judge, report."""
