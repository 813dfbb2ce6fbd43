"""The learning loop in the running product: thresholds that follow a target, and a router for each
domain, learned from its traffic."""
