"""What another policy would have cost and how good it would have been, from the log."""
