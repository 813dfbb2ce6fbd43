"""How often the loop runs, and how many pairs it draws."""

ROUND_EVERY = 50
PAIRS_AT_FULL_RATE = 400
SHADOW_SCORES = 200
