"""Which engine decodes: asked of the config alone, so that the same config is the same run on every machine."""

from typing import Any, Literal

from bleuprint.config import ConfigError
from bleuprint.flags import shell
from bleuprint.schema import Experiment

Engine = Literal["fairseq", "ctranslate2"]

# fairseq's named architectures of its Transformer, the only one of its models here that ctranslate2 knows
TRANSFORMERS = {
    "transformer",
    "transformer_tiny",
    "transformer_iwslt_de_en",
    "transformer_wmt_en_de",
    "transformer_wmt_en_de_big",
    "transformer_wmt_en_de_big_t2t",
    "transformer_vaswani_wmt_en_de_big",
    "transformer_vaswani_wmt_en_fr_big",
}
ACTIVATIONS = {"relu", "gelu", "gelu_accurate", "gelu_fast", "swish"}
# What makes another model of a fairseq Transformer than ctranslate2 has: of all its flags those that its converter
# refuses, passes over, or stumbles at; and other lengths than POSITIONS
NOT_CONVERTED = {
    "adaptive_softmax_cutoff",
    "base_layers",
    "char_inputs",
    "cross_self_attention",
    "decoder_input_dim",
    "decoder_output_dim",
    "decoder_xformers_att_config",
    "encoder_xformers_att_config",
    "max_source_positions",
    "max_target_positions",
    "merge_src_tgt_embed",
    "no_cross_attention",
    "no_token_positional_embeddings",
    "quant_noise_pq",
    "quant_noise_scalar",
    "task",
}
TWINS = ("attention_heads", "normalize_before")  # ctranslate2 has one value of these for encoder and decoder
POSITIONS = 1024  # tokens of the longest sentence, fairseq's default
# The flags of fairseq-generate that ctranslate2 obeys in the same sense
CARRIED = {"beam", "lenpen", "max_tokens", "max_len_a", "max_len_b", "min_len"}
NEEDLESS = {"remove_bpe", "required_batch_size_multiple"}  # it knows nothing of BPE, and drops no sentence


def engine(experiment: Experiment) -> Engine:
    """The engine that decodes: `decoding.engine`, or for `auto` ctranslate2 where it can.

    Raises:
        ConfigError: ctranslate2 is asked for and cannot, or fairseq with what only ctranslate2 can.
    """
    decoding = experiment.decoding
    why = obstacle(experiment)
    if decoding.engine == "ctranslate2" and why:
        raise ConfigError(f"decoding.engine=ctranslate2: {why}; use decoding.engine=fairseq")
    if decoding.engine == "fairseq" and decoding.compute_type != "float32":
        raise ConfigError(
            f"decoding.compute_type={decoding.compute_type}: fairseq computes in float32 alone;"
            " use decoding.engine=ctranslate2"
        )
    return "fairseq" if decoding.engine == "fairseq" or why else "ctranslate2"


def obstacle(experiment: Experiment) -> str | None:
    """Why ctranslate2 cannot decode as fairseq would; None if it can."""
    if experiment.decoding.ensemble or experiment.decoding.tune:
        return "it decodes neither an ensemble nor a grid"
    decoding = _set(experiment.decoding.flags())
    model = _set(experiment.model.flags() | experiment.training.flags())  # fairseq takes a model's flag from either
    if model["arch"] not in TRANSFORMERS:
        return f"it cannot translate with model.arch={model['arch']}, only with fairseq's Transformer"
    if wrong := sorted(NOT_CONVERTED & model.keys()):
        return f"it has no {wrong[0]} as fairseq's Transformer has"
    if (activation := model.get("activation_fn", "relu")) not in ACTIVATIONS:
        return f"it has no activation_fn={activation}"
    for twin in TWINS:
        if model.get(f"encoder_{twin}") != model.get(f"decoder_{twin}"):
            return f"it takes the same encoder_{twin} and decoder_{twin} only"
    if unknown := sorted(decoding.keys() - CARRIED - NEEDLESS):
        return f"it has nothing like decoding.{unknown[0]}"
    return None


def identity(experiment: Experiment) -> dict[str, Any]:
    """The keys that can change a translation; of fairseq's, which were before there was an engine, none is new."""
    keys = experiment.decoding.identity()
    if engine(experiment) == "fairseq":
        return keys
    return keys | {"engine": "ctranslate2", "compute_type": experiment.decoding.compute_type}


def translate(experiment: Experiment) -> str:
    """What `python -m bleuprint.decoding.ctranslate` decodes with, for the shell; the flags are fairseq-generate's."""
    flags = {key: value for key, value in experiment.decoding.flags().items() if key in CARRIED}
    return shell(flags | {"compute_type": experiment.decoding.compute_type})


def quantisation(experiment: Experiment) -> str:
    """The converter's flag for the type of the weights in its file, for the shell."""
    kind = experiment.decoding.compute_type
    return "" if kind == "float32" else f"--quantization {kind}"


def _set(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that a command line gets: false is as if it were not there."""
    return {key: value for key, value in flags.items() if value is not False}
