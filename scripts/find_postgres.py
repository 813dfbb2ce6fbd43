"""Prints the address of a PostgreSQL server that answers, or nothing.

TEST_DATABASE_URL names one; without it the usual places on this machine are tried.
"""

import os
import sys

import psycopg

LOOPBACK = ("postgres://postgres@127.0.0.1:5432/postgres", "postgres:///postgres")


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2):
            return True
    except psycopg.Error:
        return False


def main() -> None:
    named = os.environ.get("TEST_DATABASE_URL")
    if named and not answers(named):
        sys.exit(f"TEST_DATABASE_URL does not answer: {named.rpartition('@')[2]}")
    print(named or next(filter(answers, LOOPBACK), ""))


if __name__ == "__main__":
    main()
