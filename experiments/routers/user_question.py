"""The part of a prompt that asks something, found by structure.

People wrap a question in examples, documents, instructions and courtesy. What a prompt needs
depends on the question, so routers and the domain detector look at it. No phrase of any language is
listed here: positions, question marks, repeated labels, separators, fences and lengths decide.
Pure, and linear in the text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

LONG = 600  # characters; a longer paragraph is a document, or holds one
_SHORT = 300
_FEW = 5  # words of a courtesy at most

_FENCED = re.compile(
    r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|\"\"\".*?(?:\"\"\"|\Z)|<<<.*?(?:>>>|\Z)"
    r"|<([A-Za-z][\w-]{0,30})[^<>\n]{0,100}>.*?</\1>|^(?:>[^\n]*\n?)+",
    re.DOTALL | re.MULTILINE,
)
_RULE_LINE = re.compile(r"^[ \t]*[-=*_#~]{3,}[ \t]*$", re.MULTILINE)
# A label at the start of a line: at most three words, and not in lower case, which programs use.
_LABEL = re.compile(
    r"^[ \t>#*]{0,4}([^\W\d_a-z][\w'-]{0,20}(?: [\w'-]{1,20}){0,2}?)"
    r"[ \t]*\d{0,3}\.?[*]{0,2}[ \t]?[:\uff1a][*]{0,2}",
    re.MULTILINE,
)
_FIELD = re.compile(r"[ \t#*]{0,4}[^\W\d_][^\W_]{0,20}[ \t]*\d{0,3}[*]{0,2}[:\uff1a][*]{0,2}(\s*)")
_LAST_EXCLAIM = re.compile(r"(?<=[^\W\d_A-Z])\s+[A-Z][a-z]+(?: [a-z]+){1,4}!\s*\Z")
_OPTION = re.compile(r"^[ \t]{0,8}[B-Jb-j][.):][^\n]*", re.MULTILINE)
_SENTENCE_END = re.compile(
    r"(?<=[.!?\u2026])[\"')\]]{0,2}\s+|(?<=[\u3002\uff01\uff1f\u061f\u0964])\s*|\n"
)
_ASKS = ("?", "\uff1f", "\u061f")
_COLONS = (":", "\uff1a")
_CLOSERS = " \t\n\"')]*_\u201d\u2019"
_EXCLAIMS = ("!", "\uff01")
_MOST_SENTENCES = 40
# How much less a block weighs that may be courtesy, and more so with these ends.
_COURTESY = 0.9
_PAUSES = {"!": 1.0, ",": 1.5, "\uff01": 1.0, "\uff0c": 1.5, "\u060c": 1.5}
_STOPS = " \t\n.\u2026\u3002"
_WORD = re.compile(r"[^\W_]+")
# Letters, and the marks of plain sentences.
_PLAIN = re.compile(
    r"(?:[^\W\d_]|[\s,'.!;:()\u2019\u2018\u2026\u3001\u3002\uff0c\uff01\u060c-])+\Z"
)
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff]")
_ARROW = re.compile(r"(->|=>|\u2192|\u21d2|=|\||:)[ \t]*\Z")


class _Label(NamedTuple):
    name: str
    start: int
    end: int


def question_of(stem: str, options: str = "") -> str:
    """The question of a prompt; the whole text where nothing is wrapped around it.

    `stem` is the text before the `options` of a multiple-choice prompt.
    """
    if options:
        stem = _block(_last_example(_after_options(stem)), whole_paragraphs=True)
        return f"{_without_courtesy(stem.strip())}\n{_only_options(options)}"
    text = stem.strip()
    if "\n" in text:
        text = _block(_last_example(text), whole_paragraphs=False)
    elif len(text) > LONG:
        text = _last_question(text)
    return _without_courtesy(text)


def _after_options(stem: str) -> str:
    """What comes after the options of earlier questions, which are examples."""
    ends = [found.end() for found in _OPTION.finditer(stem)]
    at = stem.find("\n\n", ends[-1]) if ends else -1
    return stem[at:] if at >= 0 and stem[at:].strip() else stem


def _only_options(options: str) -> str:
    """Up to the end of the line of the last option."""
    ends = [found.end() for found in _OPTION.finditer(options)]
    return options[: ends[-1]].rstrip(_STOPS) if ends else options


def _last_example(text: str) -> str:
    """The unanswered last one of several examples with the same labels; else the text."""
    found = [_Label(m[1].lower(), m.start(), m.end()) for m in _LABEL.finditer(text)]
    counts = Counter(label.name for label in found)
    repeated = [label for label in found if counts[label.name] > 1]
    if not repeated:
        return _last_line(text)
    opening = repeated[0].name
    starts = [at for at, label in enumerate(repeated) if label.name == opening]
    last = repeated[starts[-1]]
    cue = text[last.end :].strip()
    if not cue:  # one label only, at the end: the examples are "text, label, answer"
        before = repeated[starts[-2]].end
        return _after_answer(text[before : last.start])
    if len(starts) == len(repeated):
        return text
    closing = repeated[starts[-1] - 1].name
    rest = repeated[starts[-1] + 1 :]
    answered = next((label for label in rest if label.name == closing), None)
    if answered and text[answered.end :].strip():
        return text  # records, all of them complete
    return text[last.end : answered.start if answered else len(text)].strip()


def _after_answer(part: str) -> str:
    """`part` is an answer and then the next example's text: apart by a blank line, or a line."""
    for separator in ("\n\n", "\n"):
        _, found, rest = part.lstrip(" \t").partition(separator)
        if found and rest.strip():
            return rest.strip()
    return part.strip()


def _last_line(text: str) -> str:
    """The last of lines like "text -> answer", if it lacks the answer."""
    lines = text.rstrip().split("\n")
    mark = _ARROW.search(lines[-1])
    if mark is None or len(lines) < 3:
        return text
    before = [line for line in lines[:-1] if line.strip()]
    like = [line for line in before if mark[1] in line and not line.rstrip().endswith(mark[1])]
    if len(like) < 2 or like[-1] != before[-1]:
        return text
    return lines[-1][: mark.start()].strip()


def _block(text: str, *, whole_paragraphs: bool) -> str:
    """The paragraph that asks."""
    outside = _FENCED.sub("\n\n", text) if _may_be_fenced(text) else text
    blocks = _paragraphs(outside if _says_something(outside) else text)
    if len(blocks) == 1 and len(blocks[0]) > LONG:
        lines = [line.strip() for line in blocks[0].split("\n") if line.strip()]
        blocks = lines if len(lines) > 1 else blocks
    if len(blocks) > 1 and _is_empty_field(blocks[-1]):
        blocks = blocks[:-1]
    if not blocks:
        return text.strip()
    found = _without_field(blocks, _asking(blocks))
    return found if whole_paragraphs or len(found) <= LONG else _last_question(found)


def _says_something(text: str) -> bool:
    return len(_WORD.findall(text)) > 1 or len(_WIDE.findall(text)) > _FEW


def _is_empty_field(block: str) -> bool:
    field = _FIELD.match(block)
    return field is not None and field.end() == len(block)


def _without_field(blocks: Sequence[str], at: int) -> str:
    """Without "Question:" where another paragraph has a field, too."""
    fields = [_FIELD.match(block) for block in blocks]
    own = fields[at]
    return blocks[at][own.end() :] if own and sum(map(bool, fields)) > 1 else blocks[at]


def _may_be_fenced(text: str) -> bool:
    return any(mark in text for mark in ("```", "~~~", '"""', "<", "\n>")) or text.startswith(">")


def _paragraphs(text: str) -> list[str]:
    if "\n---" in text or "\n===" in text or "\n***" in text or "\n###" in text:
        text = _RULE_LINE.sub("\n", text)
    parts = (part.strip() for part in re.split(r"\n[ \t]*\n", text))
    return [part for part in parts if part and _WORD.search(part)]


def _asking(blocks: Sequence[str]) -> int:
    """Which block asks: question marks count most, then a colon before what is asked about, then
    being short, then being the last or the first. Short plain blocks may be courtesy."""
    scores = [_weight(block) for block in blocks]
    polite = [at for at, block in enumerate(blocks) if _is_courtesy(block)]
    asking = [at for at in range(len(blocks)) if at not in polite]
    if asking:
        scores[asking[0]] += 0.5
        scores[asking[-1]] += 1.0
    for at in polite:
        scores[at] -= _COURTESY + _PAUSES.get(blocks[at][-1], 0.0)
    requests = [at for at in polite if blocks[at][-1] not in _PAUSES]
    if requests and len(asking) != 1:
        scores[requests[0]] += 1.0
    return max(range(len(blocks)), key=lambda at: (scores[at], at))


def _weight(block: str) -> float:
    end = block.rstrip(_CLOSERS)
    asks = 2.0 if end.endswith(_ASKS) else 1.0 if any(mark in block for mark in _ASKS) else 0.0
    colon = 1.0 if end.endswith(_COLONS) else 0.0
    size = 1.0 if len(block) <= _SHORT else 0.0 if len(block) <= LONG else -1.0
    sentences = sum(1 for _ in _SENTENCE_END.finditer(block))
    field = _FIELD.match(block)
    heading = -1.0 if field and "\n" in field[1] else 0.0
    return asks + colon + size + heading + (0.75 if not sentences else -0.25 * min(4, sentences))


def _last_question(text: str) -> str:
    """The last question of a long paragraph; without a question mark its last sentence. A short one
    comes with the sentence before it."""
    sentences = [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]
    asked = [at for at, one in enumerate(sentences) if one.rstrip(_CLOSERS).endswith(_ASKS)]
    said = [at for at, one in enumerate(sentences) if not _is_courtesy(one)]
    last = (asked or said or [len(sentences) - 1])[-1]
    start = max(0, last - (len(_WORD.findall(sentences[last])) < 4))
    return " ".join(sentences[start : last + 1])[-LONG:]


def _without_courtesy(text: str) -> str:
    """Without short plain sentences before and after the question, and without the full stop.

    Where all sentences are short and plain, see `_among_short`.
    """
    found = [part.strip() for part in _SENTENCE_END.split(text) if part and part.strip()]
    if 1 < len(found) <= _MOST_SENTENCES:
        asking = [at for at, one in enumerate(found) if not _is_courtesy(one)]
        asking = asking or _among_short(found)
        if asking:
            first, last = found[asking[0]], found[asking[-1]]
            text = text[text.index(first) : text.rindex(last) + len(last)]
    if text.endswith("!"):
        text = _LAST_EXCLAIM.sub("", text)
    return text.rstrip(_STOPS) or text


def _among_short(sentences: Sequence[str]) -> list[int]:
    """Of short plain sentences the one that is more than a word or two, else those that do not
    exclaim."""
    sizes = [len(_WORD.findall(one)) for one in sentences]
    ordered = sorted(sizes)
    if ordered[-1] >= ordered[-2] + 2 and ordered[-2] <= 2:
        return [sizes.index(ordered[-1])]
    return [at for at, one in enumerate(sentences) if not one.endswith(_EXCLAIMS)]


def _is_courtesy(sentence: str) -> bool:
    """A few plain words that ask nothing."""
    wide = len(_WIDE.findall(sentence))
    words = wide / 2 if wide else len(_WORD.findall(sentence))
    return (
        words <= _FEW
        and not sentence.rstrip(_CLOSERS).endswith((*_ASKS, *_COLONS))
        and bool(_PLAIN.match(sentence))
    )
