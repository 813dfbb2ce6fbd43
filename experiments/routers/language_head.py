"""Features of prompts in other languages than English: pieces of their words, as 32-bit keys.

A piece is a whole word or three to five letters of it, so that inflected and compound words share
pieces with the terms of the word lists. Chinese and Japanese have no spaces: there a piece is one
to three characters.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from experiments.routers.domain_head import DomainHead, SeenPrompt
from experiments.routers.features import Features, Keys, word_keys

_HEAD, _TAIL = 1_500, 500  # characters that are read
_LETTERS, _CHARACTERS = (3, 4, 5), (1, 2, 3)
_VOICED = ("\u3099", "\u309a")  # marks that change the letter of a kana
_CJK = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_RUN = re.compile(rf"([{_CJK}]+)|([^\W\d_{_CJK}]+)")
# Teh marbuta as heh, alef maksura as yeh, no tatweel.
_ARABIC = str.maketrans({"\u0629": "\u0647", "\u0649": "\u064a", "\u0640": ""})
_MULTIPLIER, _MIX = np.uint32(0x01000193), np.uint32(0x9E3779B1)
_SPACE = ord(" ")
_NOTHING = np.zeros(0, dtype=np.float32)

Codes = NDArray[np.uint32]


def piece_keys(text: str) -> Keys:
    """The distinct pieces of a prompt, sorted. Empty for a text without letters."""
    seen = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    runs = _RUN.findall(normalised(seen))
    unspaced = [cjk for cjk, _ in runs if cjk]
    words = [word for _, word in runs if word]
    return np.unique(
        np.concatenate(
            (
                whole_word_keys(words),
                _piece_keys(_codes(words), _LETTERS, edges=True),
                _piece_keys(_codes(unspaced), _CHARACTERS, edges=False),
            )
        )
    )


def whole_word_keys(words: Sequence[str]) -> Keys:
    """Keys of words that are normalised already, in order."""
    return word_keys([f"^{word}$" for word in words])


def look_up_pieces(head: DomainHead, features: Features) -> SeenPrompt:
    """A prompt as a head that was trained on pieces sees it."""
    return head.vocabulary.look_up_keys(piece_keys(features.text), _NOTHING)


def normalised(text: str) -> str:
    """Lower case, without accents and vowel signs; one spelling of each Arabic letter."""
    decomposed = unicodedata.normalize("NFKD", text.lower())
    kept = (c for c in decomposed if c in _VOICED or unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", "".join(kept)).translate(_ARABIC)


def _codes(runs: Iterable[str]) -> Codes:
    """The code points of all runs, with a space around each."""
    joined = f" {' '.join(runs)} "
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)


def _piece_keys(codes: Codes, lengths: Sequence[int], *, edges: bool) -> Keys:
    """A hash of each piece of these lengths. With `edges` a piece may begin or end with the space
    that marks the edge of its word; no piece goes on beyond it."""
    spaces = np.concatenate(([0], np.cumsum(codes == _SPACE)))
    found = [_of_length(codes, spaces, length, int(edges)) for length in lengths]
    return np.concatenate(found)


def _of_length(codes: Codes, spaces: NDArray[np.int64], length: int, edge: int) -> Keys:
    count = len(codes) - length + 1
    if count <= 0:
        return np.zeros(0, dtype=np.uint32)
    inside = spaces[length - edge : length - edge + count] - spaces[edge : edge + count]
    keys = np.full(count, length, dtype=np.uint32)
    for offset in range(length):
        keys = (keys ^ codes[offset : offset + count]) * _MULTIPLIER
        keys ^= keys >> np.uint32(15)
    return np.asarray((keys * _MIX)[inside == 0])
