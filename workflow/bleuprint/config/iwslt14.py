"""What prepare-iwslt14.sh reads, the script of fairseq's examples."""

from collections.abc import Sequence

TEST_SETS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")


def as_the_script(year: int, languages: Sequence[str]) -> bool:
    """Tell whether an IWSLT archive is that of prepare-iwslt14.sh, which is read as the script reads it."""
    return year == 2014 and set(languages) == {"de", "en"}
