"""Learning a router from one's own traffic: thresholds, fits, comparisons and claims."""
