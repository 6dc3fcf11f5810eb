"""config/text: how raw text becomes what the model reads."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from bleuprint.config.schema.section import Section
from bleuprint.config.segmenters import SEGMENTERS


class SentencePiece(Section):
    """The keys of SentencePiece, under its own names."""

    vocab_size: Annotated[int, Field(ge=100)]
    """Number of subwords, learnt on both languages together; 100 or more. A small corpus may have fewer."""
    model_type: Literal["unigram", "bpe"]
    """`unigram` or `bpe`."""
    character_coverage: Annotated[float, Field(gt=0.9, le=1)]
    """Share of the characters of train that pieces are made of; a rarer character is a subword of its own, or spelt in
    bytes."""
    byte_fallback: bool
    """Spell a character that no piece has in bytes."""
    normalization_rule_name: Literal["identity", "nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf"]
    """How SentencePiece changes the characters first: `identity` (not at all), `nfkc`, `nmt_nfkc`, or one of these with
    `_cf`, which also lower-cases. The model then never writes what this removes."""
    alpha: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw the segmentations of the training text at random, for `text.segmentations` above 1 and `unigram`: their
    probabilities are raised to this power, so that a smaller one lets them vary more. null: do not draw."""
    nbest_size: Annotated[int, Field(ge=2, le=512)] = 64
    """With `alpha`: of how many most probable segmentations of a word, or of text without spaces, one is drawn; 2 to
    512."""


class Tokenizers(Section):
    """A tokeniser for each side."""

    source: str
    """For the source language."""
    target: str
    """For the target language."""


def _shared(tokenizer: str | Tokenizers) -> str | Tokenizers:
    """Return the name that both sides share, so that one text has one identity."""
    if isinstance(tokenizer, Tokenizers) and tokenizer.source == tokenizer.target:
        return tokenizer.source
    return tokenizer


class Text(Section):
    """The text stage. The tokenisers are those of text/tokenisers.py; bleuprint.plan.choices checks the names."""

    tokenizer: Annotated[str | Tokenizers, AfterValidator(_shared)]
    """How text is split into tokens: {tokenisers}; or one for each side, `{source:moses,target:none}`. `none` leaves
    the text as it is: for SentencePiece, and for text that is tokenised already, but not segmented (with BPE, no token
    may end in `@@`, nor in `<s>`, `<pad>`, `</s>` or `<unk>`). The hypotheses are then not detokenised either."""
    lowercase: bool
    """Lower-case the text after tokenising."""
    unicode_normalization: Literal["NFC", "NFKC"] | None = None
    """Bring all text into this Unicode form first, references included; null: leave it as it is."""
    min_tokens: PositiveInt
    """A training pair is left out if a side has fewer tokens."""
    max_tokens: PositiveInt
    """A training pair is left out if a side has more tokens."""
    max_ratio: Annotated[float, Field(ge=1)] | None
    """A training pair is left out if one side is more than this many times longer than the other; 1 or more; null:
    never."""
    valid_every: Annotated[int, Field(ge=2)]
    """Where the corpus has no validation set, every n-th cleaned training pair goes into one; 2 or more."""
    segmenter: str = "subword_nmt"
    """How tokens are split into subwords: {segmenters}."""
    merges: PositiveInt
    """Number of BPE merges, learnt on both languages together, for `subword_nmt`."""
    sentencepiece: SentencePiece | None = None
    """The keys of `sentencepiece`, see below."""
    segmentations: PositiveInt = 1
    """Number of segmentations of the training text, each drawn at random with a seed of its own. The training reads one
    in each epoch, in turn. Needs `bpe_dropout` or `sentencepiece.alpha`."""
    bpe_dropout: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Probability with which `subword_nmt` leaves out a merge in the training text, for `segmentations` above 1; null:
    it leaves out none. Validation and test text keep all merges."""
    joined_dictionary: bool
    """Use one dictionary for both languages (`--joined-dictionary`)."""
    bidirectional: bool = False
    """Hold each training and validation pair in both directions, so that one model learns both; needs
    `joined_dictionary`."""

    @model_validator(mode="after")
    def joins_what_goes_both_ways(self) -> "Text":
        """Check that both languages can stand on either side."""
        if self.bidirectional and not self.joined_dictionary:
            raise ValueError("text.bidirectional: needs one dictionary for both languages; set text=joined")
        return self

    @model_validator(mode="after")
    def has_a_segmenter(self) -> "Text":
        """Check that the segmenter exists and has its keys."""
        if self.segmenter not in SEGMENTERS:
            *others, last = [repr(name) for name in SEGMENTERS]
            raise ValueError(f"text.segmenter={self.segmenter}: input should be {', '.join(others)} or {last}")
        if self.segmenter == "sentencepiece" and self.sentencepiece is None:
            raise ValueError(
                "text.sentencepiece: is null, and text.segmenter=sentencepiece needs its keys; leave it out"
            )
        return self

    @model_validator(mode="after")
    def draws_as_often_as_it_reads(self) -> "Text":
        """Check that several segmentations differ, and that what makes them differ is used."""
        key, value = f"text.{SEGMENTERS[self.segmenter].sampling}", self.sampling
        if self.segmentations > 1 and value is None:
            raise ValueError(f"text.segmentations={self.segmentations}: all would be the same; set {key}=0.1, too")
        if self.segmentations == 1 and value is not None:
            raise ValueError(
                f"{key}={value}: all epochs would read the same segmentation; set text.segmentations=8, too"
            )
        pieces = self.sentencepiece if self.segmenter == "sentencepiece" else None
        if pieces and pieces.alpha and pieces.model_type == "bpe":  # SentencePiece's own dropout knows no seed
            raise ValueError(
                f"text.sentencepiece.alpha={pieces.alpha}: needs text.sentencepiece.model_type=unigram; BPE-dropout is "
                "text.segmenter=subword_nmt with text.bpe_dropout"
            )
        if pieces and pieces.alpha is None and not pieces.has_default("nbest_size"):
            raise ValueError(f"text.sentencepiece.nbest_size={pieces.nbest_size}: has no effect without its alpha")
        return self

    @property
    def sampling(self) -> float | None:
        """How much the segmentations of the training text differ, under the segmenter's own key; None: not at all."""
        if self.segmenter == "subword_nmt":
            return self.bpe_dropout
        return self.sentencepiece.alpha if self.sentencepiece else None

    @property
    def tokenizers(self) -> Tokenizers:
        """The tokeniser of each side."""
        name = self.tokenizer
        return Tokenizers(source=name, target=name) if isinstance(name, str) else name

    @property
    def subwords(self) -> int:
        """About how many subwords there are."""
        other = self.sentencepiece if self.segmenter == "sentencepiece" else None
        return other.vocab_size if other else self.merges

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the text, without those of the segmenter that is not used."""
        values = {key: value for key, value in super().identity().items() if key not in self.idle()}
        if self.sentencepiece and "sentencepiece" in values:
            values["sentencepiece"] = self.sentencepiece.identity()
        return values

    def idle(self) -> set[str]:
        """Return the keys of the segmenter that is not used, and the number of segmentations where it is one."""
        return self.unused() | ({"segmentations"} if self.segmentations == 1 else set())

    def unused(self) -> set[str]:
        """Return the keys of the segmenter that is not used."""
        return {"merges", "bpe_dropout"} if self.segmenter == "sentencepiece" else {"sentencepiece"}
