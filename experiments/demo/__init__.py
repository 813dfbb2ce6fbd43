"""Thirty days of generated traffic with a known truth, as a demonstration and to check pages.

`prompts` has the prompts, `world` the quality and cost of each model's answers, `people` the users
and times, `story` the operators' actions. `recording` makes the decisions with the product's own
code, and `filling` runs everything.
"""
