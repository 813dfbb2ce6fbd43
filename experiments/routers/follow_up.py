"""What a turn of a conversation is about: "continue" and "fix it" are about the turns before.

A turn without content of its own is found by structure, in any language: a few short plain words,
without digits, names, symbols or code. Pure.
"""

import re
from collections.abc import Iterable
from itertools import islice

from experiments.routers.user_question import question_of

_SURE, _MOST = 3, 6  # words
_SHORT_WORDS = 4.5  # letters on average
_WIDE_CHARACTERS = 6
_LONGEST = 60
_TOPIC = 500  # characters of what the conversation is about
LOOKED_BACK = 20  # turns

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_PLAIN = re.compile(
    r"(?:[^\W\d_]|[\s,'.!?;\u2019\u2026\u3001\u3002\uff0c\uff01\uff1f\u061f\u060c\u00bf\u00a1-])+\Z"
)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")


def with_topic(turns: Iterable[str]) -> str:
    """The last of a user's turns, after the question of the turn that it follows up on, if it does.

    `turns` are what the user wrote, newest first; earlier ones are read only where needed.
    """
    newest = iter(turns)
    last = next(newest, "")
    if not is_follow_up(last):
        return last
    for turn in islice(newest, LOOKED_BACK):
        if turn.strip() and not is_follow_up(turn):
            return f"{question_of(turn)[:_TOPIC].strip()}\n{last.strip()}"
    return last


def is_follow_up(turn: str) -> bool:
    """Whether a turn has no content of its own."""
    text = turn.strip()
    if len(text) > _LONGEST or "\n" in text or not _PLAIN.match(text):
        return False
    if wide := len(_WIDE.findall(text)):
        return wide <= _WIDE_CHARACTERS
    words = _WORD.findall(text)
    if any(word != word.lower() for word in words[1:] if word != "I"):
        return False  # a name
    if len(words) <= _SURE:
        return bool(words)
    return len(words) <= _MOST and sum(map(len, words)) / len(words) <= _SHORT_WORDS
