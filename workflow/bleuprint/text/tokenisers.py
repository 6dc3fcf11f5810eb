"""The tokenisers that `text.tokenizer` may name.

A new one is a module and one line in TOKENISERS. The module has `tokenise(line, language)` and `detokenise(tokens,
language)`, both from string to string. It gets a language as `languages.primary` returns it, in two letters where there
is such a code. It imports nothing of bleuprint, since `bleuprint export` copies it into the exported folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from bleuprint.config.languages import primary, spaced, suits_moses


@dataclass(frozen=True)
class Tokeniser:
    """A module, loaded when it is first used (sacremoses takes seconds), and what is known without it."""

    module: str
    packages: tuple[str, ...] = ()  # of PyPI, that it needs
    suits: Callable[[str], bool] = lambda language: True  # whether it was made for a language
    otherwise: str = ""  # what it does with a language that it does not suit

    @property
    def path(self) -> Path:
        """The module's file."""
        return Path(__file__).with_name(f"{self.module}.py")

    def tokenise(self, line: str, language: str) -> str:
        """Return the tokens of a line of running text, separated by spaces."""
        tokens: str = import_module(f"{__package__}.{self.module}").tokenise(line, primary(language))
        return tokens

    def note(self, language: str) -> str | None:
        """Return what users should know before this language is tokenised so; None if nothing."""
        if self.suits(language):
            return None
        if spaced(language):
            return (
                f"text.tokenizer={self.module} has no rules for {language}: {self.otherwise}; text=own needs no rules."
            )
        return (
            f"text.tokenizer={self.module} splits {language} at spaces and punctuation only; where the text has no "
            "spaces between words, take text=own."
        )

    def detokenise(self, tokens: str, language: str) -> str:
        """Return running text made of tokens separated by spaces."""
        text: str = import_module(f"{__package__}.{self.module}").detokenise(tokens, primary(language))
        return text


def sides(tokenizer: str | dict[str, str]) -> tuple[str, str]:
    """Return the names of the tokenisers of source and target, as a config's `text.tokenizer` gives them."""
    if isinstance(tokenizer, str):
        return tokenizer, tokenizer
    return tokenizer["source"], tokenizer["target"]


TOKENISERS = {
    "moses": Tokeniser(
        "moses",
        packages=("sacremoses",),
        suits=suits_moses,
        otherwise="it takes English abbreviations, and splits off apostrophes",
    ),
    "none": Tokeniser("untokenised"),
}
