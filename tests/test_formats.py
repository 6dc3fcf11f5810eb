"""Formats of the user's own text: several files as a part, tables, SGM and XML, codes with a hyphen; IWSLT archives."""

import gzip
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bleuprint.config.compose import ConfigError, experiments
from bleuprint.config.local_text import _content_hash, part_identity, prefixes
from bleuprint.config.schema.corpus import TEST_SETS
from bleuprint.corpus import arguments
from bleuprint.corpus.iwslt14 import read_archive
from bleuprint.corpus.lines import Parts, blank_lines, read_text
from bleuprint.corpus.markup import read_both
from bleuprint.corpus.own_text import read_part, read_side, read_table
from bleuprint.files import DataError, sha256
from bleuprint.plan.keys import plan

FR_EN = ("fr", "en")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _content_hash.cache_clear()  # it knows files by their paths
    return tmp_path


def write(name: str, *lines: str) -> Path:
    """Write lines into a file, which is compressed if its name says so."""
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


def own(*overrides: str, source: str = "fr", target: str = "en") -> tuple[dict[str, Any], list[str]]:
    """Return the corpus stage's slice for own text, and the arguments of its command."""
    cli = {"corpus": "local", "source": source, "target": target, "overrides": list(overrides)}
    (stage,) = plan(experiments(cli)).stages["corpus"].values()
    return stage.slice, arguments(stage.experiment.corpus, stage.experiment.runtime)


# Several files as one part


def test_several_prefixes_are_one_part_in_their_order() -> None:
    for name in ("a", "b"):
        write(f"{name}.fr", f"{name} un", f"{name} deux")
        write(f"{name}.en.gz", f"{name} one", f"{name} two")
    first, words = own("corpus.train=[b,a]")
    assert words == ["--local", "train=b", "--local", "train=a"]
    assert read_part("train", ["b", "a"], FR_EN)["train.en"] == ["b one", "b two", "a one", "a two"]
    hashes = [{"fr": sha256(Path(f"{name}.fr")), "en": sha256(Path(f"{name}.en.gz"))} for name in ("b", "a")]
    assert first["files"] == {"train": hashes}
    assert own("corpus.train=[a,b]")[0]["files"] == {"train": hashes[::-1]}
    assert own("corpus.train=[a]")[0] == own("corpus.train=a")[0]  # one prefix as it always was
    assert own("corpus.train=a")[0]["files"] == {"train.fr": hashes[1]["fr"], "train.en": hashes[1]["en"]}
    for wrong in ("[]", "[3]", "3"):
        with pytest.raises(
            ConfigError, match=rf"corpus.train={re.escape(wrong)}: name a prefix of files, such as data/tr"
        ):
            own(f"corpus.train={wrong}")


def test_a_pattern_means_the_prefixes_with_files_in_both_languages() -> None:
    for name in ("part-2.fr", "part-2.en.gz", "part-10.fr", "part-10.en", "part-3.fr", "other.fr", "other.en"):
        write(f"data/{name}", name)
    assert prefixes("data/part-*", FR_EN) == ["data/part-10", "data/part-2"]
    assert prefixes(["data/other", "data/part-?"], FR_EN) == ["data/other", "data/part-2"]
    with pytest.raises(DataError, match=r"data/x\*: no prefix matches that has files in fr and en; check corpus.train"):
        own("corpus.train=data/x*")
    write("data/[x].fr", "un")
    assert prefixes("data/[x]", FR_EN) == ["data/[x]"]  # a file's name is not read as a pattern


def test_two_prefixes_that_are_both_wrong_do_not_make_up_for_each_other() -> None:
    for name, lines in {"a.fr": "12", "a.en": "1", "b.fr": "1", "b.en": "12"}.items():
        write(name, *lines)
    with pytest.raises(DataError, match=r"corpus local, a: train.fr has 2 lines and train.en has 1;"):
        read_part("train", ["a", "b"], FR_EN)


# Tables


def test_a_table_has_a_column_for_each_language() -> None:
    table = write("data/pairs.tsv.gz", "id\ten\tfr\tnote", '1\t"one\tun', "2\ttwo \tdeux")
    with pytest.raises(DataError, match=r"pairs.tsv.gz, line 2: it has 3 fields, and the first line 4."):
        read_table(table, FR_EN)
    write("data/pairs.tsv.gz", "\ufeffid\ten\tfr\tnote", '1\t"one\tun\tx\r', "2\ttwo \tdeux\t")
    assert read_part("train", [str(table)], FR_EN) == {"train.en": ['"one', "two "], "train.fr": ["un", "deux"]}
    assert part_identity("train", str(table), FR_EN) == {"train": [{"both": f"tsv {sha256(table)}"}]}
    assert own("corpus.train=data/*.tsv.gz")[1] == ["--local", "train=data/pairs.tsv.gz"]
    with pytest.raises(DataError, match=r"no column is named de; its first line names id, en, fr, note\."):
        read_table(table, ("fr", "de"))
    with pytest.raises(DataError, match=r"2 columns are named en; its first line names en, fr, en\."):
        read_table(write("twice.tsv", "en\tfr\ten"), FR_EN)
    with pytest.raises(DataError, match=r"missing.tsv: no such file; check corpus.train"):
        own("corpus.train=missing.tsv")


# SGM and XML

SGM = """<srcset setid="newstest" srclang="any">
<doc sysid="ref" docid="1"><p>
<seg id="1"> AT&T &amp; Bell,  &#8216;so&#x2019; </seg>
<seg id="2">two
 lines</seg></p><hl><SEG id=3>x &lt; y\u00a0z &c</SEG></hl>
</doc></srcset>
"""


@pytest.mark.parametrize("name", ["set.fr", "set.fr.sgm", "set.fr.xml.gz", "set-src.fr.sgm", "set-ref.fr.sgm.gz"])
def test_sgm_and_xml_are_read_by_their_content(name: str) -> None:
    write(name, '<?xml version="1.0"?>', "<mteval>", SGM.replace("<srcset", "<!-- x --><srcset") + "</mteval>")
    write("set.en", "one", "two", "three")
    expected = ["AT&T & Bell, ‘so’", "two lines", "x < y\u00a0z &c"]
    assert read_part("test", ["set"], FR_EN) == {"test.fr": expected, "test.en": ["one", "two", "three"]}
    write("plain.fr", "<seg> is a word here", "and here")
    assert read_side(Path("plain.fr")) == ["<seg> is a word here", "and here"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<refset>\n<doc>\n</doc>\n</refset>", "it has no <seg>; is the file whole?"),
        (SGM[:-40], "it has a <seg> without </seg>; is the file whole?"),
    ],
)
def test_sgm_that_is_cut_short_is_named(content: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(f"set.fr: {message}")):
        read_side(write("set.fr", content))


def test_a_translation_memory_is_named() -> None:
    path = write("memory.fr", '<?xml version="1.0"?>', '<tmx version="1.4"><body><tuv xml:lang="fr"><seg>un</seg>')
    write("memory.en", "one")
    with pytest.raises(DataError, match=r"is a translation memory \(TMX\); write the segments of each language into a"):
        read_part("train", [str(path.with_suffix(""))], FR_EN)


def document(number: int, *sides: str, attributes: str = "") -> str:
    return f'<doc id="{number}" origlang="fr"{attributes}>{"".join(sides)}</doc>'


def side(tag: str, attributes: str, **segments: str) -> str:
    inner = "".join(f'<seg id="{number[1:]}">{text}</seg>' for number, text in segments.items())
    return f"<{tag} {attributes}><p>{inner}</p></{tag}>"


def test_wmt_xml_holds_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    first = document(
        1,
        side("src", 'lang="fr"', s1="un &amp; un", s2="deux", s3="trois"),
        side("ref", 'lang="en" translator="B"', s3="three", s1="one &amp; one"),
        side("ref", 'lang="en" translator="A"', s1="1", s2="2", s3="3"),
        side("hyp", 'lang="en" system="x"', s1="no"),
    )
    suite = document(2, side("src", 'lang="fr"', s1="rien"), attributes=' testsuite="t"')
    path = write("set.xml", '<?xml version="1.0" encoding="utf-8"?>', f"<dataset>{first}{suite}</dataset>")
    lines = {"fr": ["un & un", "trois"], "en": ["one & one", "three"]}
    assert read_part("test", ["set"], ("en", "fr")) == {
        f"test.{language}": lines[language] for language in ("en", "fr")
    }
    assert "set.xml: 1 segments are left out, B has no translation of them" in capsys.readouterr().err
    with pytest.raises(
        DataError, match=r"set.xml: holds fr \(src\) and en \(ref\), and not fr and de as source and ref"
    ):
        read_both(path, ("fr", "de"))
    path.write_text("<dataset><doc>", encoding="utf-8")
    with pytest.raises(DataError, match=r"set.xml: no well-formed XML \(no element found"):
        read_both(path, FR_EN)


# Codes with a hyphen


@pytest.mark.parametrize(("code", "name"), [("pt-BR", "pt_BR"), ("pt_BR", "pt-BR"), ("zh-Hans-CN", "zh_Hans_CN")])
def test_a_code_and_a_files_name_have_hyphens_or_underscores(code: str, name: str) -> None:
    """fairseq would take train.pt-BR-en.en.bin for three languages, so bleuprint's own files have underscores."""
    write(f"train.{name}", "um")
    write("train.en", "one")
    inner = code.replace("-", "_")
    assert own("corpus.train=train", source=code) == own("corpus.train=train", source=inner)
    assert own("corpus.train=train", source=code)[0]["languages"] == sorted([inner, "en"])
    assert read_part("train", ["train"], (inner, "en"))[f"train.{inner}"] == ["um"]
    assert read_table(write("x.tsv", f"en\t{name}", "a\tb"), (inner, "en")) == {inner: ["b"], "en": ["a"]}


@pytest.mark.parametrize("code", ["-pt", "pt-", "pt--BR", "p.t", "../pt"])
def test_what_is_no_code_is_refused(code: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{re.escape(code)}: no language code; a code is for instance de, fra, pt-BR"
    ):
        own("corpus.train=train", source=code)


# Blank lines


def test_blank_lines_of_test_sets_stay_and_are_counted() -> None:
    parts = {"train.fr": [""], "test.fr": ["a", " ", ""], "test.en": ["a", "b", "\u3000"], "valid.fr": ["a"]}
    assert blank_lines(parts) == [
        "test.fr: 2 lines are blank, of 3; the set keeps them",
        "test.en: 1 line is blank, of 3; the set keeps them",
    ]


# IWSLT's archives

TAGS = """<doc docid="1" genre="lectures">
<url>http://x</url>
<speaker>Anna {0}</speaker>
<talkid>1</talkid>
<title>Title {0}</title>
<reviewer href="x">Bob</reviewer>
<translator></translator>
One &amp; {0}’s
</doc>
"""
SET = (
    '<mteval><srcset><doc docid="1">\n<title>no</title>\n<seg id="1"> {0} &amp; l’on </seg>\n</doc></srcset></mteval>\n'
)


def archive(folder: str, pair: str, languages: tuple[str, str], year: int, sets: tuple[str, ...]) -> Path:
    members = [f"train.tags.{pair}.{code}" for code in languages]
    members += [f"IWSLT{year}.{name}.{pair}.{code}.xml" for name in sets for code in languages]
    with tarfile.open(f"{pair}.tgz", "w:gz") as tar:
        for name in members:
            text = TAGS.format(name[-2:]) if name.startswith("train") else SET.format(name)
            path = write(name, *text.splitlines())
            tar.add(path, f"{folder}/{name}")
    return Path(f"{pair}.tgz")


@pytest.mark.parametrize("languages", [("fr", "en"), ("en", "fr")])
@pytest.mark.parametrize(("year", "folder"), [(2014, "fr-en"), (2016, "./fr-en"), (2017, "DeEnItNlRo-DeEnItNlRo")])
def test_iwslt_archives_of_other_pairs_and_years(languages: tuple[str, str], year: int, folder: str) -> None:
    path = archive(folder, "fr-en", languages, year % 100, ("TED.dev2010", "TED.tst2013"))
    parts: Parts = read_archive(path, languages, year, ["TED.tst2013"], ["TED.dev2010"])
    assert parts["train.fr"] == ["Title fr", "One &amp; fr’s"]
    assert parts["test.en"] == [f"IWSLT{year % 100}.TED.tst2013.fr-en.en.xml & l’on"]
    assert parts["valid.fr"] == [f"IWSLT{year % 100}.TED.dev2010.fr-en.fr.xml & l’on"]
    with pytest.raises(
        DataError, match=rf"its sets are IWSLT{year % 100}.TED.dev2010, IWSLT{year % 100}.TED.tst2013: ch"
    ):
        read_archive(path, languages, year, ["TED.tst2010"])


def test_an_archive_names_languages_with_hyphens() -> None:
    path = archive("pt-br-en", "pt-br-en", ("pt-br", "en"), 14, ("TED.dev2010",))
    parts = read_archive(path, ("en", "pt_br"), 2014, ["TED.dev2010"])
    assert parts["train.pt_br"][0] == "Title br"
    assert parts["test.pt_br"] == ["IWSLT14.TED.dev2010.pt-br-en.pt-br.xml & l’on"]


def test_an_archive_of_several_pairs_is_read_in_the_order_that_is_asked_for() -> None:
    with tarfile.open("all.tgz", "w:gz") as tar:
        for pair in ("fr-en", "en-fr"):
            for code in FR_EN:
                tar.add(write(f"train.tags.{pair}.{code}", pair), f"all/train.tags.{pair}.{code}")
                tar.add(write(f"s.{pair}.{code}", SET.format(pair)), f"all/IWSLT17.T.{pair}.{code}.xml")
    assert read_archive(Path("all.tgz"), ("en", "fr"), 2017, ["T"])["train.fr"] == ["en-fr"]
    assert read_archive(Path("all.tgz"), ("fr", "en"), 2017, ["T"])["train.fr"] == ["fr-en"]


def test_the_scripts_archive_is_read_as_the_script_does() -> None:
    path = archive("de-en", "de-en", ("de", "en"), 14, TEST_SETS)
    parts = read_archive(path, ("de", "en"))
    assert "<speaker>Anna de</speaker>" in parts["train.de"]  # the script drops <url>, <talkid> and <keywords> only
    assert parts["test.en"][0] == "IWSLT14.TED.dev2010.de-en.en.xml &amp; l'on"


def test_an_archive_of_another_pair_is_another_corpus() -> None:
    def slice_of(*overrides: str) -> dict[str, Any]:
        choice = experiments({"corpus": "iwslt14_de_en", "overrides": list(overrides)})
        (stage,) = plan(choice).stages["corpus"].values()
        return stage.slice

    facts = {"kind": "iwslt14", "bytes": 19982877, "sha256": None, "format": 1}
    assert slice_of() == facts | {"languages": ["de", "en"]}
    other = slice_of("corpus.languages=[fr,en]", "source=fr", "corpus.year=2015", "corpus.test_sets=[TED.tst2013]")
    kept = {"year": 2015, "test_sets": ["TED.tst2013"], "reading": "without metadata"}
    assert other == facts | {"languages": ["fr", "en"]} | kept


def test_plain_text_in_the_form_of_iwslt_stays_plain() -> None:
    assert read_text(write("train.fr", "<url>x</url>", "un")) == ["<url>x</url>", "un"]
