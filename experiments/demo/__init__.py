"""Thirty days of generated traffic whose truth is known, to look at and to check the pages against.

`prompts` says what is asked, `world` how good and how dear each model's answer is, `people` who
asks when, `story` what operators do meanwhile, `recording` puts it through the product's own
decisions and books, and `filling` runs it all.
"""
