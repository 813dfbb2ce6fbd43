"""One tokenisation, shared by the embedding, the domain detector and every local router.

Words are lower-cased and stripped of accents, punctuation and CJK characters stand alone. This is
what BERT's basic tokeniser does, so the word pieces of the embedding can be looked up from it.
"""

import re
import unicodedata

HEAD_CHARACTERS = 6_000
TAIL_CHARACTERS = 2_000

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+|[^\w\s\x00-\x1f\x7f-\x9f\ufffd]|_")


def visible_part(text: str) -> str:
    """The part of a prompt that is looked at: its first 6,000 and its last 2,000 characters.

    Long prompts carry their question at the end and their kind at the beginning. The cap bounds
    the time of a 100,000-character prompt.
    """
    if len(text) <= HEAD_CHARACTERS + TAIL_CHARACTERS:
        return text
    return f"{text[:HEAD_CHARACTERS]}\n{text[-TAIL_CHARACTERS:]}"


def tokenise(text: str) -> tuple[str, ...]:
    """Lower-cased words, and every punctuation mark or symbol as a token of its own."""
    lowered = text.lower()
    if not lowered.isascii():
        decomposed = unicodedata.normalize("NFD", lowered)
        lowered = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    return tuple(_TOKEN.findall(lowered))
