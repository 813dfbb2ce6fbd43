"""The language of a prompt, by its script and its function words. Pure; takes a few microseconds
for an English prompt.

The domain detector knows English and the languages of ``LISTED``. For another language or script
``language_of`` returns ``OTHER``, and the decision is cautious.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.routers.features import Features, tokenise

ENGLISH, OTHER = "en", "other"
UNDETERMINED = "und"  # one of LISTED, by its words
# The languages of the word lists in experiments/fixtures/domain_words.
LISTED = ("ar", "de", "es", "fr", "ja", "zh")

# Languages like listed ones, which many of their function words are shared with: with equal counts
# the prompt may be in either, and caution is due.
_ALIKE = ("it", "nl", "pt")

_LOOKED_AT = 300  # tokens; function words are frequent
_HEAD, _TAIL = 2_000, 1_000  # characters that are searched for other scripts
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SCRIPTS = re.compile(
    r"(?P<kana>[\u3040-\u30ff]+)|(?P<han>[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)"
    r"|(?P<arabic>[\u0620-\u06d3]{2,})"
    r"|(?P<other>[\u0370-\u061f\u0700-\u1dff\u2c00-\u2dff\ua000-\ud7ff]{3,})"
)
_SENTENCE = 6  # tokens, without an English function word among them
_ACCENTED = re.compile("[à-öø-ɏ]")
_NOT_ARABIC = re.compile("[پچژگکیہےںھٹڈڑ]")

# Words that English and another language share, such as "die" and "was", are in neither list.
# Accents are stripped, as tokens are.
_WORDS = {
    ENGLISH: "the of to are were what which how why who when where does did can could should would "
    "shall i you he she it we they your his their these those there have has been by at than them "
    "its please tell give write make create find help need want like know explain compare between "
    "my about into some any but be more most other only before after both many much each out good",
    "de": "der das den dem ein eine einen einem einer eines und oder ist sind wird werden wurde "
    "kann kannst konnen darf muss soll sollte mit von vom zu zum zur auf im bei nach aus uber "
    "unter gegen ohne durch nicht kein keine keinen ich du er sie wir ihr mein meine meinen meinem "
    "meiner dein deine sein wie wer wann warum welche welcher welches welchen viel mir mich dir "
    "dich sich uns habe hast haben gibt schreibe schreib erklare erstelle hallo danke bitte dass "
    "wenn beim ins auch noch nur mehr sehr diese dieser dieses lass zwischen",
    "es": "el los las la de un una unos del que como para por cuando donde cual cuales quien "
    "porque esta este esto estos mi tus su sus muy hay hacer hago puedo puede tengo tiene quiero "
    "necesito soy eres estoy ser es fue sobre entre desde hasta pero tambien mas y ya si se lo le "
    "les nos haz hazme dame dime explicame explica escribe redacta ayudame gracias hola buenos "
    "¿ ¡ cuanto cuantos cuanta debo",
    "fr": "le la les de un une des du et ou est sont qui que quoi quel quelle quels quelles "
    "comment pourquoi quand dans sur avec sans sous chez entre mon ma mes ton ta tes ses notre "
    "votre leur leurs je tu il elle nous vous ils ce cet cette ces ne pas au aux en faut peut peux "
    "dois ai suis faire moi qu se si ecris redige explique bonjour merci salut fais combien",
    "pt": "com como posso faco nao voce uma um em os ao dos das pelo pela meu minha sao isso quais "
    "qual estou tenho quero preciso obrigado ola fazer eu ela muito ja tambem que de "
    "para por como e da o ha sem sobre entre dois duas tres dias dor bom boa noite "
    "escreve ajuda quanto quantos seu sua as na ser pode devo fica ate agora so mas",
    "it": "prepara sul dell il gli che di sono della dei nel nella alla non piu mio mia cosa quali "
    "quanto perche anche questo questa voglio ho hai scrivi una un la le si e del con mi miei "
    "mie sulla sull dei degli delle dal dalla tre giorni due buongiorno ciao grazie spiegami "
    "spiega posso devo quando dove chi quale fra tra ma nell all alle ai",
    "nl": "het een ik je niet wat hoe waarom welke mijn voor zijn dat kan moet heb schrijf de en "
    "van al drie dagen twee leg uit over naar met aan bij op te ook nog maar wil gaat "
    "goedemorgen hallo dank graag deze onze jouw",
    "pl": "napisz jest nie na sie jak czy dla moj moja jakie jaki mam przy od czym",
    "tr": "bir ve ne icin nasil bu cok var nedir neden ile mi midir",
    "sv": "jag har haft ska fran ett mig och att det ar som inte hur vad ikke jeg og hvad hvordan",
    "id": "yang dan untuk dengan apa bagaimana saya ini itu adalah tidak cara",
    "vi": "cua va khong nhu nao cho toi gi duoc la",
    "ro": "pentru cum care sunt este din cu nu ce sa",
    "cs": "muze jsou pro proc kdy jak na je co",
    "fi": "mika miten ovat miksi voi ja",
    "hu": "egy hogy az nem mit miert milyen es",
}
# English words that are also words of programs: they count only without contrary evidence.
_WEAK_ENGLISH = frozenset(
    (
        *("is", "a", "and", "or", "not", "if", "for", "from", "with"),
        *("this", "that", "while", "then", "else", "will"),
    )
)
_LANGUAGES: dict[str, tuple[str, ...]] = {
    word: tuple(code for code, words in _WORDS.items() if word in words.split())
    for word in {word for words in _WORDS.values() for word in words.split()}
}
_ENGLISH_WORDS = frozenset(_WORDS[ENGLISH].split())
_FOREIGN_WORDS = frozenset(_LANGUAGES) - _ENGLISH_WORDS


class KnownWords(NamedTuple):
    """How many of some words the English vocabulary knows, and that of the other languages."""

    english: int
    listed: int


CountKnown = Callable[[Sequence[str]], KnownWords]


def language_of(features: Features, count_known: CountKnown) -> str:
    """``en``, a code of ``LISTED``, ``UNDETERMINED``, or ``OTHER``.

    ``count_known`` is called only if function words do not decide.
    """
    tokens = features.tokens[:_LOOKED_AT]
    foreign = _FOREIGN_WORDS.intersection(tokens)
    if not foreign and features.text.isascii() and not _ENGLISH_WORDS.isdisjoint(tokens):
        return ENGLISH
    if "```" in features.text:
        text = _CODE.sub(" ", features.text)
        return _language(text, tokenise(text)[:_LOOKED_AT], count_known)
    return _language(features.text, tokens, count_known)


def _language(text: str, tokens: Sequence[str], count_known: CountKnown) -> str:
    words = set(tokens)
    english = len(_ENGLISH_WORDS & words)
    weak = len(_WEAK_ENGLISH & words)
    script, size = _script(text)
    latin = Counter(code for word in words for code in _LANGUAGES.get(word, ()) if code != ENGLISH)
    latin[UNDETERMINED] = 0
    language = max(latin, key=lambda code: (latin[code], code in _ALIKE, code in LISTED, code))
    hits = latin[language]
    if english and max(size, hits) <= english + weak:
        return ENGLISH
    if size > hits:
        return script
    if hits > 1:
        return _listed(language)
    if weak > hits:
        return ENGLISH
    if hits and not weak and len(tokens) >= _SENTENCE:
        return _listed(language)
    accents = len(_ACCENTED.findall(text[:_HEAD]))
    return _by_words(tokens, language, accents, count_known)


def _by_words(tokens: Sequence[str], language: str, accents: int, count_known: CountKnown) -> str:
    """By the vocabularies, for a prompt with one function word of `language` at most. Each accent
    speaks against English. A prompt without words is English, and so is a single unknown one."""
    words = [token for token in tokens if token.isalpha()]
    english, listed = count_known(words)
    if english > listed + accents or (len(words) <= 1 and not listed):
        return ENGLISH
    if language != UNDETERMINED:
        return _listed(language)
    if listed and listed + accents > english:
        return UNDETERMINED
    return ENGLISH if english and not accents else OTHER


def _listed(language: str) -> str:
    return language if language in LISTED else OTHER


def _script(text: str) -> tuple[str, float]:
    """The language of the most frequent script that is not Latin, and about how many words of it
    there are. Two CJK characters count as a word, so do four letters of a script without spaces."""
    if text.isascii():
        return OTHER, 0.0
    seen = text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} {text[-_TAIL:]}"
    sizes = dict.fromkeys(("kana", "han", "arabic", "other"), 0.0)
    arabic = []
    for found in _SCRIPTS.finditer(seen):
        kind, run = str(found.lastgroup), found[0]
        if kind == "arabic":
            arabic.append(run)
        sizes[kind] += 1 if kind == "arabic" else len(run) / (2 if kind != "other" else 4)
    chinese = sizes["kana"] + sizes["han"]
    if chinese >= max(sizes["arabic"], sizes["other"]):
        return "ja" if sizes["kana"] else "zh", chinese
    if sizes["other"] > sizes["arabic"]:
        return OTHER, sizes["other"]
    written_in_arabic = not any(map(_NOT_ARABIC.search, arabic))
    return "ar" if written_in_arabic else OTHER, sizes["arabic"]
