"""A small German-English grammar: agreement, word order, perfect, subordinate clauses and number words.

Every pair is a true translation, so that a tiny model can learn it in a minute. The scores only show whether the
pipeline works.
"""

from dataclasses import dataclass
from random import Random

from num2words import num2words


@dataclass(frozen=True)
class Noun:
    """A noun with its German gender: m, f or n."""

    gender: str
    de: str
    de_plural: str
    en: str
    en_plural: str


@dataclass(frozen=True)
class Verb:
    """A transitive verb: third person singular and plural, German participle, English past and base form."""

    de: str
    de_plural: str
    participle: str
    en: str
    en_plural: str
    past: str


def _nouns(text: str) -> list[Noun]:
    return [Noun(*line.split()) for line in text.strip().splitlines()]


PEOPLE = _nouns("""
m Lehrer Lehrer teacher teachers
m Arzt Ärzte doctor doctors
m Koch Köche cook cooks
m Nachbar Nachbarn neighbour neighbours
m Hund Hunde dog dogs
f Frau Frauen woman women
f Schülerin Schülerinnen pupil pupils
f Katze Katzen cat cats
f Malerin Malerinnen painter painters
n Kind Kinder child children
n Mädchen Mädchen girl girls
n Pferd Pferde horse horses
""")
THINGS = _nouns("""
m Apfel Äpfel apple apples
m Brief Briefe letter letters
m Tisch Tische table tables
m Schlüssel Schlüssel key keys
m Vogel Vögel bird birds
f Blume Blumen flower flowers
f Lampe Lampen lamp lamps
f Brücke Brücken bridge bridges
f Zeitung Zeitungen newspaper newspapers
n Buch Bücher book books
n Haus Häuser house houses
n Fenster Fenster window windows
n Bild Bilder picture pictures
n Boot Boote boat boats
""")
VERBS = [
    Verb(*line.split())
    for line in """
sieht sehen gesehen sees see saw
kauft kaufen gekauft buys buy bought
findet finden gefunden finds find found
sucht suchen gesucht seeks seek sought
malt malen gemalt paints paint painted
verkauft verkaufen verkauft sells sell sold
vergisst vergessen vergessen forgets forget forgot
bringt bringen gebracht brings bring brought
mag mögen gemocht likes like liked
braucht brauchen gebraucht needs need needed
""".strip().splitlines()
]
ADJECTIVES = dict(
    line.split()
    for line in """
alt old
neu new
klein small
groß big
schön beautiful
rot red
grün green
leicht light
schwer heavy
freundlich friendly
""".strip().splitlines()
)
TIMES = {"heute": "today", "manchmal": "sometimes", "am Abend": "in the evening", "im Sommer": "in summer"}
SPEECH = {"sagt": "says", "glaubt": "believes", "weiß": "knows", "hofft": "hopes"}
CONJUNCTIONS = {"weil": "because", "obwohl": "although", "während": "while", "bevor": "before"}

DEFINITE = {"nominative": {"m": "der", "f": "die", "n": "das"}, "accusative": {"m": "den", "f": "die", "n": "das"}}
INDEFINITE = {
    "nominative": {"m": "ein", "f": "eine", "n": "ein"},
    "accusative": {"m": "einen", "f": "eine", "n": "ein"},
}
MIXED = {"nominative": {"m": "er", "f": "e", "n": "es"}, "accusative": {"m": "en", "f": "e", "n": "es"}}

Pair = tuple[str, str]


def noun_phrase(random: Random, nouns: list[Noun], case: str) -> tuple[Pair, bool]:
    """Return a noun phrase in `case` (definite, indefinite or counted), and whether it is plural."""
    noun = random.choice(nouns)
    adjective = random.choice([None, *ADJECTIVES])
    kind = random.choice(["definite", "indefinite", "plural", "number"])
    if kind == "number":
        number = random.randrange(2, 100)
        article, ending, english = num2words(number, lang="de"), "e", num2words(number, lang="en")
    elif kind == "plural":
        article, ending, english = "die", "en", "the"
    elif kind == "definite":
        article, english = DEFINITE[case][noun.gender], "the"
        ending = "en" if (case, noun.gender) == ("accusative", "m") else "e"
    else:
        article, ending = INDEFINITE[case][noun.gender], MIXED[case][noun.gender]
        english = "an" if (ADJECTIVES[adjective] if adjective else noun.en)[0] in "aeiou" else "a"
    plural = kind in ("plural", "number")
    german = [article, adjective + ending if adjective else "", noun.de_plural if plural else noun.de]
    translation = [english, ADJECTIVES[adjective] if adjective else "", noun.en_plural if plural else noun.en]
    return (" ".join(filter(None, german)), " ".join(filter(None, translation))), plural


def clause(random: Random, order: str, time: Pair | None = None) -> Pair:
    """Return a clause in the present or the perfect; German `order`: main, inverted (time first) or subordinate."""
    (subject, subject_en), plural = noun_phrase(random, PEOPLE, "nominative")
    (thing, thing_en), _ = noun_phrase(random, THINGS, "accusative")
    verb = random.choice(VERBS)
    if random.random() < 0.5:
        finite, last = (verb.de_plural if plural else verb.de), ""
        verb_en = verb.en_plural if plural else verb.en
    else:
        finite, last = ("haben" if plural else "hat"), verb.participle
        verb_en = verb.past
    words = {
        "main": [subject, finite, thing, last],
        "inverted": [time[0] if time else "", finite, subject, thing, last],
        "subordinate": [subject, thing, last, finite],
    }[order]
    english = [time[1] if time else "", subject_en, verb_en, thing_en]
    return " ".join(filter(None, words)), " ".join(filter(None, english))


def sentence(random: Random) -> Pair:
    """Return a German sentence and its English translation."""
    shape = random.choice(["main", "inverted", "speech", "conjunction"])
    if shape == "main":
        german, english = clause(random, "main")
    elif shape == "inverted":
        german, english = clause(random, "inverted", random.choice(list(TIMES.items())))
    elif shape == "speech":
        (speaker, speaker_en), plural = noun_phrase(random, PEOPLE, "nominative")
        while plural:
            (speaker, speaker_en), plural = noun_phrase(random, PEOPLE, "nominative")
        verb, verb_en = random.choice(list(SPEECH.items()))
        speech, speech_en = clause(random, "subordinate")
        german, english = f"{speaker} {verb}, dass {speech}", f"{speaker_en} {verb_en} that {speech_en}"
    else:
        link, link_en = random.choice(list(CONJUNCTIONS.items()))
        (first, first_en), (second, second_en) = clause(random, "main"), clause(random, "subordinate")
        german, english = f"{first}, {link} {second}", f"{first_en} {link_en} {second_en}"
    return german[0].upper() + german[1:] + ".", english[0].upper() + english[1:] + "."


def generate(sizes: dict[str, int], seed: int) -> dict[str, list[str]]:
    """Generate distinct pairs for each part (`{"train": 6000, …}`); no sentence is in two parts."""
    random = Random(seed)
    pairs: list[Pair] = []
    seen: set[str] = set()
    while len(pairs) < sum(sizes.values()):
        pair = sentence(random)
        if seen.isdisjoint(pair):
            seen.update(pair)
            pairs.append(pair)
    parts: dict[str, list[str]] = {}
    for part, size in sizes.items():
        chosen, pairs = pairs[:size], pairs[size:]
        parts[f"{part}.de"] = [german for german, _ in chosen]
        parts[f"{part}.en"] = [english for _, english in chosen]
    return parts
