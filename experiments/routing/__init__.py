"""From a request to a decision: routers in memory, the route itself, dry runs."""
