"""config/model: the architecture and its sizes."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from bleuprint.config.plugins import digests
from bleuprint.config.schema.flags import Flags


def _plugin(value: Any) -> Any:
    """Return a list of folders; None for an empty one, which is the same as none."""
    return (([value] if isinstance(value, str) else value) or None) if value != "" else value


Plugin = Annotated[list[Annotated[str, Field(min_length=1)]] | None, BeforeValidator(_plugin)]


class Model(Flags):
    """The model: architecture, sizes, dropout."""

    own = frozenset({"plugin"})
    arch: str
    """fairseq's named architecture."""
    encoder_layers: PositiveInt | None = None
    """Number of layers of the encoder."""
    decoder_layers: PositiveInt | None = None
    """Number of layers of the decoder."""
    encoder_embed_dim: PositiveInt | None = None
    """Width of the encoder's embeddings and layers."""
    decoder_embed_dim: PositiveInt | None = None
    """Width of the decoder's embeddings and layers."""
    encoder_conv_dim: PositiveInt | None = None
    """Width of the encoder's convolutions."""
    decoder_conv_dim: PositiveInt | None = None
    """Width of the decoder's convolutions."""
    encoder_ffn_embed_dim: PositiveInt | None = None
    """Width of the encoder's feed-forward layers."""
    decoder_ffn_embed_dim: PositiveInt | None = None
    """Width of the decoder's feed-forward layers."""
    encoder_attention_heads: PositiveInt | None = None
    """Attention or convolution heads of the encoder."""
    decoder_attention_heads: PositiveInt | None = None
    """Attention or convolution heads of the decoder."""
    encoder_kernel_size_list: list[PositiveInt] | None = None
    """Kernel width in tokens, one for each layer of the encoder."""
    decoder_kernel_size_list: list[PositiveInt] | None = None
    """Kernel width in tokens, one for each layer of the decoder."""
    encoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    """`lightweight` or `dynamic`."""
    decoder_conv_type: Literal["lightweight", "dynamic"] | None = None
    """`lightweight` or `dynamic`."""
    encoder_glu: Literal[0, 1] | None = None
    """Gated linear units in the encoder, 0 or 1."""
    decoder_glu: Literal[0, 1] | None = None
    """Gated linear units in the decoder, 0 or 1."""
    dropout: float | None = None
    """Share of outputs dropped, 0 to 1."""
    attention_dropout: float | None = None
    """Share of attention weights dropped, 0 to 1."""
    activation_dropout: float | None = None
    """Share dropped inside the feed-forward layers of a Transformer, 0 to 1."""
    weight_dropout: float | None = None
    """Share of convolution weights dropped, 0 to 1."""
    share_decoder_input_output_embed: bool | None = None
    """Use one matrix for the decoder's input and output."""
    share_all_embeddings: bool | None = None
    """Use one matrix for the encoder's input, too; this needs `text=joined`."""
    plugin: Plugin = None
    """Folders with your own code for fairseq, or null: architectures, criterions, tasks, optimizers, schedules. One
    folder, `plugins/my_arch`, or several, `[plugins/my_arch,plugins/my_loss]`; what they register can be named by
    `arch`, `training.criterion` and so on, and their flags are added with a plus. Their files count by content."""

    def identity(self) -> dict[str, Any]:
        """Return the keys that can change the model; plugins count by their content.

        Raises:
            DataError: a folder can be no plugin.
        """
        return super().identity() | ({"plugin": digests(self.plugin)} if self.plugin else {})

    def idle(self) -> set[str]:
        """Return `plugin`, where there is none."""
        return set() if self.plugin else {"plugin"}
