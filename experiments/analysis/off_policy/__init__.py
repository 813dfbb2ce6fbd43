"""Off-policy estimates: another policy's cost and quality, from the log."""
