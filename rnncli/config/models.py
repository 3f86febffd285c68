"""The sections of the models: every key, its type, its bounds and its default."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import Section, conflict
from rnncli.config.cells import Cell, CustomCell

Units = Annotated[int, Field(ge=1, le=16384)]
Layers = Annotated[int, Field(ge=1, le=32)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Merge = Literal["concat", "sum", "mul", "ave"]
Pooling = Literal["last", "mean", "max"]
EmbeddingWidth = Annotated[int, Field(ge=1, le=16384)] | None


def check_merge(bidirectional: bool, merge: Merge) -> None:
    """Refuse a merge where there is nothing to merge."""
    if merge != "concat" and not bidirectional:
        raise conflict("merge", "merges the outputs of both directions; it needs bidirectional: true")


class Stack(Section):
    """Recurrent layers one above the other."""

    units: Units = Field(128, description="width of each layer's state, in each direction")
    layers: Layers = Field(1, description="one above the other")
    dropout: Rate = Field(0.0, description="share of each layer's input that is dropped in training")
    recurrent_dropout: Rate = Field(
        0.0, description="share of the state that is dropped, at all steps alike, from what the next one makes of it"
    )


class Encoder(Stack):
    """The layers that read the source."""

    bidirectional: bool = Field(False, description="a second set of weights reads from the end")
    merge: Merge = Field("concat", description="what the outputs of both directions become")
    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")

    @model_validator(mode="after")
    def _merged(self) -> Self:
        check_merge(self.bidirectional, self.merge)
        return self


class Decoder(Stack):
    """The layers that write the target."""

    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")
    tied: bool = Field(False, description="the output layer's weights are the embedding's; needs attention")
    output_dropout: Rate = Field(0.0, description="share of what the output layer reads that is dropped in training")

    @model_validator(mode="after")
    def _embedded(self) -> Self:
        if self.tied and self.embedding is None:
            raise conflict("tied", "there is no embedding whose weights the output layer could have; set embedding")
        return self


class RecurrentModel(Section):
    """What every model has."""

    type: str
    cell: Cell = Field("lstm", description="or `type: custom` with keys of its own")
    implementation: Literal["layer", "cell"] = Field(
        "layer", description="cell runs Keras's cell step by step through keras.layers.RNN: the same numbers, slower"
    )

    @property
    def recurrent_dropout_keys(self) -> list[str]:
        """The keys of the config that ask for recurrent dropout."""
        sections = {"model": self, "model.encoder": getattr(self, "encoder", None)}
        sections["model.decoder"] = getattr(self, "decoder", None)
        return [f"{k}.recurrent_dropout" for k, s in sections.items() if getattr(s, "recurrent_dropout", 0.0)]

    @property
    def stacks(self) -> list[Any]:
        """The sections that have `units` and `layers`: encoder and decoder, or the model itself."""
        sections = [getattr(self, name, None) for name in ("encoder", "decoder")]
        return [section for section in sections if section is not None] or [self]

    def least_weights(self, source_symbols: int, target_symbols: int) -> int:
        """How many numbers the weights are at least: vectors of symbols, and what states take to become the next.

        Args:
            source_symbols: 0 where steps are numbers.
            target_symbols: As many logits there are.
        """
        if isinstance(self.cell, CustomCell):
            return 0
        reader, writer = self.stacks[0], self.stacks[-1]
        read: int = getattr(reader, "embedding", None) or reader.units
        read = 0 if getattr(self, "symbols", "") == "number" else read
        written: int = min(writer.units, getattr(writer, "embedding", None) or writer.units)  # which may be tied
        recurrent: int = sum(stack.layers * stack.units**2 for stack in self.stacks)
        return recurrent + read * source_symbols + written * target_symbols

    def most_weights(self, symbols: int) -> int:
        """How many numbers the weights are at most: a bound that is far from tight, for cells that are no code.

        Args:
            symbols: Of source and target together, or numbers of a step.
        """
        stacks = self.stacks
        layers: int = sum(stack.layers for stack in stacks)
        width: int = sum(2 * stack.units for stack in stacks)  # in both directions
        embedded: int = sum(getattr(stack, "embedding", None) or 0 for stack in stacks)
        read = symbols + embedded + width
        recurrent: int = sum(8 * stack.layers * stack.units * (read + stack.units + 2) for stack in stacks)
        between = 4 * layers**2 * width * (width + 1)  # a bridge from every state to every state; attention has less
        return recurrent + between + 2 * (width + embedded) * (symbols + 1)

    @model_validator(mode="after")
    def _by_hand(self) -> Self:
        stepped = "model.cell: custom" if isinstance(self.cell, CustomCell) else "model.implementation: cell"
        if (isinstance(self.cell, CustomCell) or self.implementation == "cell") and self.recurrent_dropout_keys:
            key = self.recurrent_dropout_keys[0].removeprefix("model.")
            raise conflict(key, f"only the fused kernel drops of the state, and {stepped} rules it out")
        if not isinstance(self.cell, CustomCell):
            return self
        if self.implementation == "cell":
            raise conflict("implementation", "model.cell: custom is always stepped through; leave it out")
        for key, section in (("merge", self), ("encoder.merge", getattr(self, "encoder", None))):
            if getattr(section, "merge", "concat") != "concat":
                raise conflict(key, "the outputs of model.cell: custom stand side by side; use concat")
        return self


class EncoderDecoderModel(RecurrentModel):
    """The encoder's final state is the decoder's initial state; the decoder reads what it wrote."""

    type: Literal["encoder_decoder"]
    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    bridge: Literal["auto", "copy", "concat", "dense", "zero"] = Field(
        "auto",
        description="how the encoder's state becomes the decoder's; concat puts those of both directions side by "
        "side; zero starts from zeros; auto copies or puts side by side where the sizes fit",
    )
    attention: Literal["none", "dot", "general", "additive"] = Field(
        "none",
        description="what the decoder's outputs look at the encoder's outputs by: Luong's dot and general scores, "
        "Bahdanau's additive one",
    )
    input_feeding: bool = Field(
        False,
        description="the decoder reads what attention gave at the step before; its steps then run one by one, "
        "which takes up to twice the time, and decoder.dropout drops the same at all steps",
    )

    @property
    def states_fit(self) -> bool:
        """Whether the encoder's final states can be the decoder's as they are."""
        encoder, decoder = self.encoder, self.decoder
        same = encoder.units == decoder.units and encoder.layers == decoder.layers
        return same and not encoder.bidirectional

    @property
    def states_join(self) -> bool:
        """Whether the final states of both of the encoder's directions, side by side, can be the decoder's."""
        encoder, decoder = self.encoder, self.decoder
        return encoder.bidirectional and decoder.units == 2 * encoder.units and encoder.layers == decoder.layers

    @model_validator(mode="after")
    def _attends(self) -> Self:
        encoder, decoder = self.encoder, self.decoder
        if self.attention == "none":
            for key, asked in (
                ("input_feeding", self.input_feeding),
                ("bridge", self.bridge == "zero"),
                ("decoder.tied", decoder.tied),
            ):
                if asked:
                    raise conflict(key, "needs attention; set model.attention: general, dot or additive")
        elif isinstance(self.cell, CustomCell):
            raise conflict("attention", "model.cell: custom has outputs of its own shapes; use none")
        width = encoder.units * (2 if encoder.bidirectional and encoder.merge == "concat" else 1)
        if self.attention == "dot" and width != decoder.units:
            raise conflict(
                "attention", f"dot needs outputs of one width, and they are {width} and {decoder.units}; use general"
            )
        return self

    @model_validator(mode="after")
    def _bridged(self) -> Self:
        if self.bridge == "copy" and not self.states_fit:
            raise conflict(
                "bridge",
                "copy needs an encoder in one direction with the decoder's units and layers; use auto or dense",
            )
        if self.bridge == "concat" and not self.states_join:
            raise conflict(
                "bridge",
                "concat needs model.encoder.bidirectional: true, model.decoder.units twice the encoder's and as many "
                "layers in both; use auto or dense",
            )
        return self


class RepeatVectorModel(RecurrentModel):
    """The encoder's final output, repeated, is the decoder's input at every step of an answer of fixed length."""

    type: Literal["repeat_vector"]
    encoder: Encoder = Encoder()
    decoder: Stack = Stack()


class ManyToOne(RecurrentModel):
    """Steps are read; one answer follows from all of them."""

    units: Units = Field(32, description="width of each layer's state, in each direction")
    layers: Layers = Field(1, description="one above the other")
    dropout: Rate = Field(0.0, description="share of each layer's input that is dropped in training")
    recurrent_dropout: Rate = Field(
        0.0, description="share of the state that is dropped, at all steps alike, from what the next one makes of it"
    )
    symbols: Literal["one_hot", "number"] = Field(
        "one_hot", description="number: one value a step, the symbol's index over their count"
    )
    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol, in place of one-hot")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if self.embedding is not None and self.symbols == "number":
            raise conflict("embedding", "symbols are either numbers or embedded; leave out symbols: number")
        return self


class NextStepModel(ManyToOne):
    """A window of symbols is read; the symbol that follows is predicted from the last output."""

    type: Literal["next_step"]
    stateful: bool = Field(
        False, description="each row of a batch goes on from the state that it ended the last batch with"
    )
    reset: Literal["epoch", "never"] = Field("epoch", description="when stateful training starts from zeros again")
    bidirectional: ClassVar[bool] = False
    merge: ClassVar[Merge] = "concat"
    pooling: ClassVar[Pooling] = "last"


class ClassifierModel(ManyToOne):
    """A sequence is read; its class is predicted from the last output, or from the mean or maximum of all."""

    type: Literal["classifier"]
    bidirectional: bool = Field(False, description="a second set of weights reads from the end")
    merge: Merge = Field("concat", description="what the outputs of both directions become")
    pooling: Pooling = Field("last", description="what of a sequence's outputs is classified; padding plays no part")

    @model_validator(mode="after")
    def _merged(self) -> Self:
        check_merge(self.bidirectional, self.merge)
        return self
