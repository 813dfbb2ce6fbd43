"""The learning loop in the running product: a router for each domain, learned from its traffic."""
