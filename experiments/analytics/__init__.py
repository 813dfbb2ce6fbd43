"""Read-only reports: traffic, savings, cost against quality, drift, alerts."""
