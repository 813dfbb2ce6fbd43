"""Verifiers: may an answer of the weak model be trusted, or should the strong model answer?

Plain code: text and numbers in, numbers out. No database, no network, no clock.
"""
