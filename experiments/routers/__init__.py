"""Routers: prompt in, score in [0, 1] out. The only package that may import ``routellm``."""
