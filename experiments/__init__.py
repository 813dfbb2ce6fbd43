"""Switchyard: routes prompts between language models and shows whether that pays."""

__version__ = "0.1.0"
