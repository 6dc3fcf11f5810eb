"""A language code means what it says, for Moses, lower-casing and scores; texts made before keep their folders."""

import random

import pytest
from sacremoses.corpus import NonbreakingPrefixes

from bleuprint import letters
from bleuprint.config import languages
from bleuprint.config.languages import known, primary, rules, same, script, spaced, suits_moses, unknown
from bleuprint.letters import lower, normalise
from bleuprint.text import moses
from bleuprint.text.tokenisers import TOKENISERS


@pytest.mark.parametrize(
    ("code", "language", "named_script"),
    [
        ("de", "de", None),
        ("fra", "fr", None),
        ("fr_CA", "fr", None),
        ("pt-BR", "pt", None),
        ("EN", "en", None),
        ("zho_Hans", "zh", "Hans"),
        ("cmn", "zh", None),
        ("arb_Arab", "ar", "Arab"),
        ("jpn_Jpan", "ja", "Jpan"),
        ("yue_Hant", "yue", "Hant"),  # there are no two letters for it
        ("en_clean", "en", None),
        ("xx", "xx", None),
        ("klingon", "klingon", None),
    ],
)
def test_a_code_means_a_language(code: str, language: str, named_script: str | None) -> None:
    assert (primary(code), script(code)) == (language, named_script)


def test_codes_of_one_language_are_the_same() -> None:
    assert same("fra", "fr_CA") and same("zho_Hans", "cmn") and same("xx", "xx")
    assert not same("de", "en") and not same("xx", "xy")


def test_an_unknown_code_is_told_and_is_no_error() -> None:
    assert unknown("source", "fr_CA") is None
    assert str(unknown("target", "xx")).startswith("target=xx: no known language code")
    assert not known("source_text") and not known("en1")


def test_a_plain_code_costs_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(languages, "_tag")
    for code in ("de", "en", "fr", "zh", "ja", "ko", "tr"):
        assert (primary(code), script(code), known(code)) == (code, None, True)


def test_words_are_separated_by_spaces_or_not() -> None:
    assert not any(spaced(code) for code in ("zho_Hans", "jpn", "th", "khm_Khmr", "bod_Tibt", "yue"))
    assert all(spaced(code) for code in ("de", "kor", "vie_Latn", "zho_Latn", "xx"))
    assert suits_moses("fra") and suits_moses("ces_Latn")
    assert not suits_moses("zh") and not suits_moses("tur") and not suits_moses("xx")


def test_the_tables_agree_with_the_code_that_they_describe() -> None:
    assert set(NonbreakingPrefixes().available_langs.values()) == languages.MOSES
    assert {*moses.SEPARATED, "cs"} == languages.CORRECTED
    assert set(letters.DOTLESS_I) == languages.DOTLESS_I


@pytest.mark.parametrize(
    ("source", "target", "tokenizers", "lowercase", "changed"),
    [
        ("de", "en", ("moses", "moses"), True, {}),
        ("fra", "en", ("moses", "moses"), True, {"fra": "fr"}),
        ("fra", "en", ("none", "moses"), False, {}),
        ("fr", "fi", ("moses", "moses"), False, {"fi": "fi"}),
        ("tur_Latn", "az", ("moses", "none"), True, {"tur_Latn": "tr", "az": "az"}),
        ("tur_Latn", "az", ("moses", "none"), False, {}),
        ("xx", "vie", ("moses", "moses"), True, {}),
    ],
)
def test_only_texts_made_by_other_rules_than_before_get_a_new_key(
    source: str, target: str, tokenizers: tuple[str, str], lowercase: bool, changed: dict[str, str]
) -> None:
    assert rules(source, target, tokenizers, lowercase) == ({"rules": changed} if changed else {})


@pytest.mark.parametrize(
    ("language", "line", "tokens"),
    [
        ("fi", "Hän tuli EU:sta klo 12:30.", "Hän tuli EU:sta klo 12 : 30 ."),
        ("sv", "USA:s ordförande: Anna.", "USA:s ordförande : Anna ."),
        ("ca", "L'home il·lusiona.", "L&apos; home il·lusiona ."),
        ("ga", "d'ól sé", "d&apos; ól sé"),
        ("so", "lo'aad 'x'", "lo&apos;aad &apos; x&apos;"),
        ("tdt", "ba ne'e 'Ha'u", "ba ne&apos;e &apos; Ha&apos;u"),
        ("ka", "თბ. ქალაქი", "თბ. ქალაქი"),
        ("zh", "他说：“你好”。", "他说 ： “ 你好 ” 。"),
        ("yue", "佢話。", "佢話 。"),
        ("ja", "彼は、言った。", "彼は 、 言った 。"),
    ],
)
def test_tokens_are_those_of_perl(language: str, line: str, tokens: str) -> None:
    """What tokenizer.perl wrote."""
    assert moses.tokenise(line, language) == tokens


@pytest.mark.parametrize(
    ("language", "tokens", "text"),
    [
        ("cs", "V roce 1999 se prodalo 3 , 5 kg z roku 2001 .", "V roce 1999 se prodalo 3,5 kg z roku 2001."),
        ("cs", "Přijde - li dnes ?", "Přijde-li dnes?"),
        ("cs", "x' - li dnes", "x' - li dnes"),  # sacremoses: TypeError
        ("ca", "L&apos; home", "L'home"),  # Perl leaves the space
        ("ko", "그는 말했다 .", "그는 말했다."),  # Perl removes the spaces between words
    ],
)
def test_text_of_tokens(language: str, tokens: str, text: str) -> None:
    assert moses.detokenise(tokens, language) == text


def test_indic_words_stay_whole() -> None:
    assert moses.tokenise("उन्होंने कहा।", "hi") == "उन्होंने कहा ।"  # Perl: उन ् होंने


def test_a_tokeniser_takes_any_code_of_a_language() -> None:
    tokeniser = TOKENISERS["moses"]
    assert tokeniser.tokenise("l'homme", "fra_Latn") == "l&apos; homme"
    assert tokeniser.detokenise("l&apos; homme", "fr_CA") == "l'homme"
    assert tokeniser.note("fra") is None
    assert "has no rules for tur_Latn: it takes English abbreviations" in str(tokeniser.note("tur_Latn"))
    assert "splits zho_Hans at spaces and punctuation only" in str(tokeniser.note("zho_Hans"))
    assert TOKENISERS["none"].note("zh") is None


def test_lower_case_of_i() -> None:
    assert lower("ISPARTA İLİ I\u0307 ı", "tr") == "ısparta ili i ı"
    assert lower("Iğdır", "az") == "ığdır"
    assert lower("İ I", "de") == "İ I".lower()
    text = "".join(chr(random.Random(seed).randrange(0x20, 0xD7FF)) for seed in range(300))
    assert lower(text, "en") == text.lower()


def test_a_form_also_makes_odd_spaces_plain() -> None:
    line = "\ufeffCafe\u0301\u00a0:\u3000a\u200bb\u00adc\u202f!\u2060 می\u200cخواهم\t\r"
    assert normalise(line, "NFC") == "Café : abc ! می\u200cخواهم"
    assert normalise("ﬁ ½ Ａ", "NFKC") == "fi 1⁄2 A"
    assert normalise("ﬁ ½ Ａ", "NFC") == "ﬁ ½ Ａ"
    assert normalise(line, None) == line
