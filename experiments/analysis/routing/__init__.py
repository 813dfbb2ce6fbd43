"""How good a router or a detector is, and thresholds that keep a promise."""
