"""The `model` section of each model: its keys, types, bounds and defaults."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from rnncli.config.base import EACH, ONE, Section, conflict, one_or_each
from rnncli.config.cells import Cell, CustomCell, built_in_cells
from rnncli.config.kernels import fused_blockers

MAX_LAYERS = 32
OneUnits = Annotated[int, Field(ge=1, le=16384)]
Units = Annotated[
    Annotated[OneUnits, Tag(ONE)] | Annotated[list[OneUnits], Field(min_length=1, max_length=MAX_LAYERS), Tag(EACH)],
    Discriminator(one_or_each),
]
Layers = Annotated[int, Field(ge=1, le=MAX_LAYERS)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Merge = Literal["concat", "sum", "mul", "ave"]
Pooling = Literal["last", "mean", "max"]
EmbeddingWidth = Annotated[int, Field(ge=1, le=16384)] | None

UNITS = "state size of each layer, per direction; a list has one number for each layer, as in [64, 32]"
LAYERS = "number of stacked recurrent layers; where units is a list, its length"
DROPOUT = "dropout rate on the inputs of each layer"
RECURRENT_DROPOUT = "dropout rate on recurrent connections, one mask for all time steps (variational dropout)"
BIDIRECTIONAL = "read the sequence in both directions, each with parameters of its own"
MERGE = "combine the outputs of both directions, as in keras.layers.Bidirectional"
EMBEDDING = "embedding size of a symbol; null is one-hot vectors"


class Stack(Section):
    """Stacked recurrent layers."""

    units: Units = Field(128, description=UNITS)
    layers: Layers = Field(1, description=LAYERS)
    dropout: Rate = Field(0.0, description=DROPOUT)
    recurrent_dropout: Rate = Field(0.0, description=RECURRENT_DROPOUT)

    @property
    def directions(self) -> int:
        """Return the number of directions, 1 or 2."""
        return 1

    @property
    def merge_mode(self) -> Merge:
        """Return the way in which the outputs of both directions are combined."""
        return "concat"

    @property
    def embedding_size(self) -> int | None:
        """Return the embedding size of a symbol; None without embedding."""
        return None

    @property
    def layer_units(self) -> list[int]:
        """Return the units of each layer."""
        return self.units if isinstance(self.units, list) else [self.units] * self.layers

    @property
    def layer_widths(self) -> list[int]:
        """Return the width of the outputs of each layer."""
        return [units * (self.directions if self.merge_mode == "concat" else 1) for units in self.layer_units]

    @property
    def output_width(self) -> int:
        """Return the width of the outputs."""
        return self.layer_widths[-1]

    @model_validator(mode="before")
    @classmethod
    def _count_layers(cls, values: Any) -> Any:
        """Set `layers` where `units` is a list, so that a config that is written holds the number."""
        if isinstance(values, dict) and isinstance(values.get("units"), list) and "layers" not in values:
            return {**values, "layers": max(1, min(len(values["units"]), MAX_LAYERS))}  # units are checked later
        return values

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if isinstance(self.units, list) and self.layers != len(self.units):
            reason = f"{self.layers}, and units has {len(self.units)} numbers, one for each layer; leave layers out"
            raise conflict("layers", reason)
        return self

    @model_validator(mode="after")
    def _check_merge(self) -> Self:
        if self.merge_mode != "concat" and self.directions == 1:
            raise conflict("merge", "merges the outputs of both directions; it needs bidirectional: true")
        return self


class Encoder(Stack):
    """The recurrent layers that read the source."""

    bidirectional: bool = Field(False, description=BIDIRECTIONAL)
    merge: Merge = Field("concat", description=MERGE)
    embedding: EmbeddingWidth = Field(None, description=EMBEDDING)

    @property
    def directions(self) -> int:
        """See `Stack`."""
        return 2 if self.bidirectional else 1

    @property
    def merge_mode(self) -> Merge:
        """See `Stack`."""
        return self.merge

    @property
    def embedding_size(self) -> int | None:
        """See `Stack`."""
        return self.embedding


class DecoderConfig(Stack):
    """The recurrent layers that write the target."""

    embedding: EmbeddingWidth = Field(None, description=EMBEDDING)
    tied: bool = Field(
        False, description="share the embedding with the output layer (weight tying); needs attention and embedding"
    )
    output_dropout: Rate = Field(0.0, description="dropout rate on the inputs of the output layer")

    @property
    def embedding_size(self) -> int | None:
        """See `Stack`."""
        return self.embedding

    @property
    def output_layer_width(self) -> int:
        """Return the width of the output layer's inputs in a model with attention."""
        return self.embedding if self.tied and self.embedding else self.output_width

    @model_validator(mode="after")
    def _check_tied(self) -> Self:
        if self.tied and self.embedding is None:
            raise conflict("tied", "there is no embedding to share with the output layer; set embedding")
        return self


def _states_fit(encoder: Stack, other: Stack) -> bool:
    """Return True if the encoder's final states have the shapes of another stack's, in as many directions."""
    return encoder.layer_units == other.layer_units and encoder.directions == other.directions


def _states_join(encoder: Stack, other: Stack) -> bool:
    """Return True if the final states of both directions, concatenated, have the shapes of another stack's."""
    doubled = [2 * units for units in encoder.layer_units]
    return (encoder.directions, other.directions) == (2, 1) and other.layer_units == doubled


class RecurrentModel(Section):
    """The keys of every model.

    Attributes:
        best_metric: The metric that selects the best epoch where the config names none.
    """

    best_metric: ClassVar[str] = "exact_match"
    type: str
    cell: Cell = Field(
        "lstm",
        description="a list has one for each layer; or a custom Keras cell: `type: custom` with keys of its own",
    )
    implementation: Literal["layer", "cell"] = Field(
        "layer", description="cell runs the Keras cell in keras.layers.RNN: the same results, slower"
    )

    @property
    def stacks(self) -> list[Stack]:
        """Return the stacks of recurrent layers: encoder and decoder, or the model itself."""
        return list(self.stacks_by_key().values())

    @abstractmethod
    def stacks_by_key(self) -> dict[str, Stack]:
        """Return the stacks of recurrent layers by their config key, in the order in which they run."""

    @property
    def copies_source(self) -> bool:
        """Return True if the model may copy source symbols."""
        return False

    @property
    def recurrent_dropout_keys(self) -> list[str]:
        """Return the config keys that ask for recurrent dropout."""
        return [f"{key}.recurrent_dropout" for key, stack in self.stacks_by_key().items() if stack.recurrent_dropout]

    def embedding_name(self, side: str) -> str:
        """Return the name of the embedding matrix of the symbols of a side, `source` or `target`."""
        return f"{side}_symbols/embedding/embeddings"

    def min_parameters(self, source_symbols: int, target_symbols: int) -> int:
        """Return a lower bound of the number of parameters; 0 for a custom cell.

        Args:
            source_symbols: Size of the source vocabulary; 0 if sources are numbers.
            target_symbols: Number of logits.
        """
        if isinstance(self.cell, CustomCell):
            return 0
        first, last = self.stacks[0], self.stacks[-1]
        read = self._symbol_width(first)
        written = min(last.layer_units[-1], last.embedding_size or last.layer_units[-1])  # tied or not
        recurrent = sum(units**2 for stack in self.stacks for units in stack.layer_units)
        return recurrent + read * source_symbols + written * target_symbols

    def _symbol_width(self, first: Stack) -> int:
        """Return a lower bound of the number of parameters for each source symbol."""
        return first.embedding_size or first.layer_units[0]

    def max_parameters(self, symbols: int) -> int | None:
        """Return an upper bound of the number of parameters, far from tight; None for a custom cell.

        Args:
            symbols: Size of the source and the target vocabulary together, or the number of features of a step.
        """
        if isinstance(self.cell, CustomCell):
            return None
        stacks, cells = self.stacks, built_in_cells(self.cell)
        gates, states = max(cell.gates for cell in cells), max(2, *(len(cell.states) for cell in cells))
        layers = sum(len(stack.layer_units) for stack in stacks)
        width = sum(2 * max(stack.layer_units) for stack in stacks)  # of two directions
        embedded = sum(stack.embedding_size or 0 for stack in stacks)
        read = symbols + embedded + width
        recurrent = sum(2 * gates * units * (read + units + 2) for stack in stacks for units in stack.layer_units)
        between = (states * layers) ** 2 * width * (width + 1)  # a dense bridge of all states; attention has less
        return recurrent + between + 2 * (width + embedded) * (symbols + 1)

    def max_states(self) -> int | None:
        """Return an upper bound of the number of state values of a batch row; None for a custom cell."""
        if isinstance(self.cell, CustomCell):
            return None
        states = max(len(cell.states) for cell in built_in_cells(self.cell))
        return sum(2 * states * units for stack in self.stacks for units in stack.layer_units)

    def layer_cells(self, stack: Stack) -> list[str]:
        """Return the cell of each layer of a stack; of a model of built-in cells."""
        assert not isinstance(self.cell, CustomCell)
        return self.cell if isinstance(self.cell, list) else [self.cell] * len(stack.layer_units)

    def _check_cells(self, cells: list[str]) -> None:
        for key, stack in self.stacks_by_key().items():
            if (count := len(stack.layer_units)) != len(cells):
                reason = (
                    f"{len(cells)} cells, and {key} has {count} layer{'s' * (count > 1)}; give one for each layer"
                )
                raise conflict("cell", f"{reason}, or one name for all")

    @model_validator(mode="after")
    def _check_cell(self) -> Self:
        dropping, blockers = self.recurrent_dropout_keys, fused_blockers(self.cell, self.implementation)
        if dropping and blockers:
            reason = f"only the fused kernel has recurrent dropout; it is ruled out by {' and '.join(blockers)}"
            raise conflict(dropping[0].removeprefix("model."), reason)
        if isinstance(self.cell, list):
            self._check_cells(self.cell)
        if not isinstance(self.cell, CustomCell):
            return self
        if self.implementation == "cell":
            raise conflict("implementation", "model.cell: custom always runs in keras.layers.RNN; leave it out")
        for key, stack in self.stacks_by_key().items():
            if stack.merge_mode != "concat":
                merge = f"{key}.merge".removeprefix("model.")
                raise conflict(merge, "the outputs of model.cell: custom can only be concatenated; use concat")
        return self


class EncoderDecoderModel(RecurrentModel):
    """Encoder-decoder: the encoder's final state is the decoder's initial state, with or without attention."""

    type: Literal["encoder_decoder"]
    encoder: Encoder = Encoder()
    decoder: DecoderConfig = DecoderConfig()
    bridge: Literal["auto", "copy", "concat", "dense", "zero"] = Field(
        "auto",
        description="initial state of the decoder: a copy of the encoder's final state, both directions "
        "concatenated, a dense layer of it, or zeros; auto copies or concatenates if the sizes fit, else dense",
    )
    attention: Literal["none", "dot", "general", "additive", "monotonic"] = Field(
        "none",
        description="attention score: Luong dot or general, or Bahdanau additive; monotonic: each target symbol is "
        "written from one source step, never before the last one, and training sums over all such alignments",
    )
    attention_order: Literal[0, 1] = Field(
        0,
        description="0 or 1, of monotonic attention: with 1 the jump to the next source step depends on the last "
        "one, not on the decoder's state alone (Wu & Cotterell 2019)",
    )
    attention_window: int = Field(
        5, ge=1, le=64, description="source steps that attention_order: 1 goes on at most from one symbol to the next"
    )
    copying: Literal["none", "pointer_generator"] = Field(
        "none",
        alias="copy",
        description="pointer_generator: at each step the decoder writes a symbol of its vocabulary or copies one of "
        "the source, also one that training never had (See, Liu & Manning 2017); needs attention",
    )
    shared_embedding: bool = Field(
        False,
        description="one embedding for the symbols of source and target; needs task.shared_vocabulary, and an "
        "embedding of one size in encoder and decoder",
    )
    input_feeding: bool = Field(
        False,
        description="the decoder also reads the attention output of the previous step (Luong); training then runs "
        "step by step, which is slower, and decoder.dropout has one mask for all steps",
    )

    def stacks_by_key(self) -> dict[str, Stack]:
        """See `RecurrentModel`."""
        return {"model.encoder": self.encoder, "model.decoder": self.decoder}

    @property
    def copies_source(self) -> bool:
        """See `RecurrentModel`."""
        return self.copying != "none"

    def embedding_name(self, side: str) -> str:
        """See `RecurrentModel`."""
        return super().embedding_name("source" if self.shared_embedding else side)

    def min_parameters(self, source_symbols: int, target_symbols: int) -> int:
        """See `RecurrentModel`; what is shared counts once."""
        once = self.shared_embedding and self.decoder.tied
        return super().min_parameters(source_symbols, 0 if once else target_symbols)

    @property
    def states_fit(self) -> bool:
        """Return True if the encoder's final states have the shapes of the decoder's states."""
        return _states_fit(self.encoder, self.decoder)

    @property
    def states_join(self) -> bool:
        """Return True if the final states of both directions, concatenated, have the shapes of the decoder's."""
        return _states_join(self.encoder, self.decoder)

    @model_validator(mode="after")
    def _check_attention(self) -> Self:
        encoder, decoder = self.encoder, self.decoder
        if self.attention == "none":
            for key, asked in (
                ("input_feeding", self.input_feeding),
                ("bridge", self.bridge == "zero"),
                ("decoder.tied", decoder.tied),
                ("copy", self.copying != "none"),
            ):
                if asked:
                    monotonic = "" if key in ("input_feeding", "copy") else ", or monotonic"
                    raise conflict(
                        key, f"needs attention; set model.attention to general, dot or additive{monotonic}"
                    )
        elif isinstance(self.cell, CustomCell):
            raise conflict("attention", "not with model.cell: custom, whose outputs may have any shape; use none")
        if self.copying != "none" and self.input_feeding:
            raise conflict("copy", "not with model.input_feeding, whose steps run one by one; remove one of them")
        if self.attention == "dot" and encoder.output_width != decoder.output_width:
            widths = f"{encoder.output_width} and {decoder.output_width}"
            raise conflict("attention", f"dot needs equal output widths, and they are {widths}; use general")
        return self

    @model_validator(mode="after")
    def _check_monotonic(self) -> Self:
        if self.attention == "monotonic":
            for key, asked in (("input_feeding", self.input_feeding), ("copy", self.copying != "none")):
                if asked:
                    reason = "not with model.attention: monotonic, which has no weighted mean of the source"
                    raise conflict(key, f"{reason}; use general, or remove this key")
        elif self.attention_order:
            raise conflict("attention_order", "is for model.attention: monotonic; set that, or remove this key")
        if not self.attention_order and self.attention_window != type(self).model_fields["attention_window"].default:
            reason = "is for attention: monotonic with attention_order: 1; set both, or remove this key"
            raise conflict("attention_window", reason)
        return self

    @model_validator(mode="after")
    def _check_embeddings(self) -> Self:
        sizes = self.encoder.embedding, self.decoder.embedding
        if self.shared_embedding and (None in sizes or sizes[0] != sizes[1]):
            shown = " and ".join("null" if size is None else str(size) for size in sizes)
            reason = f"the embeddings of encoder and decoder are {shown}; set both to one size"
            raise conflict("shared_embedding", reason)
        return self

    @model_validator(mode="after")
    def _check_bridge(self) -> Self:
        if self.bridge == "copy" and not self.states_fit:
            raise conflict(
                "bridge",
                "copy needs a unidirectional encoder with the decoder's units and layers; use auto or dense",
            )
        if self.bridge == "concat" and not self.states_join:
            raise conflict(
                "bridge",
                "concat needs model.encoder.bidirectional: true, model.decoder.units twice the encoder's and as many "
                "layers in both; use auto or dense",
            )
        return self


class RepeatVectorModel(RecurrentModel):
    """Encoder, RepeatVector, decoder: all steps of a target of fixed length are predicted at once."""

    type: Literal["repeat_vector"]
    encoder: Encoder = Encoder()
    decoder: Stack = Stack()

    def stacks_by_key(self) -> dict[str, Stack]:
        """See `RecurrentModel`."""
        return {"model.encoder": self.encoder, "model.decoder": self.decoder}


class ManyToOneConfig(Stack, RecurrentModel):
    """Recurrent layers and an output layer."""

    units: Units = Field(32, description=UNITS)
    symbols: Literal["one_hot", "number"] = Field(
        "one_hot", description="number: each symbol is one value, its index divided by the vocabulary size"
    )
    embedding: EmbeddingWidth = Field(None, description=EMBEDDING)

    @property
    def embedding_size(self) -> int | None:
        """See `Stack`."""
        return self.embedding

    def stacks_by_key(self) -> dict[str, Stack]:
        """See `RecurrentModel`."""
        return {"model": self}

    def _symbol_width(self, first: Stack) -> int:
        return 0 if self.symbols == "number" else super()._symbol_width(first)

    @model_validator(mode="after")
    def _check_symbols(self) -> Self:
        if self.embedding is not None and self.symbols == "number":
            raise conflict("embedding", "symbols are either numbers or embedded; leave out symbols: number")
        return self


class NextStepModel(ManyToOneConfig):
    """Predict the next symbol after a window of symbols, or after each of its steps."""

    best_metric: ClassVar[str] = "symbol_accuracy"
    type: Literal["next_step"]
    stateful: bool = Field(
        False, description="carry the final state of each batch row over to the next batch (truncated BPTT)"
    )
    reset: Literal["epoch", "never"] = Field("epoch", description="when a stateful model's states are reset to zeros")
    pooling: ClassVar[Pooling] = "last"


class ClassifierModel(ManyToOneConfig):
    """Classify a sequence by its last output, or by the mean or maximum of all outputs."""

    type: Literal["classifier"]
    encoder: Encoder | None = Field(
        None,
        description="layers that read the first of two texts, for task.texts: 2; the model's own layers read the "
        "second one from their final states: copied or concatenated if the sizes fit, else by a dense layer",
    )
    bidirectional: bool = Field(False, description=BIDIRECTIONAL)
    merge: Merge = Field("concat", description=MERGE)
    pooling: Pooling = Field("last", description="pooling of the outputs over time; padding is masked")

    @property
    def directions(self) -> int:
        """See `Stack`."""
        return 2 if self.bidirectional else 1

    @property
    def merge_mode(self) -> Merge:
        """See `Stack`."""
        return self.merge

    def stacks_by_key(self) -> dict[str, Stack]:
        """See `RecurrentModel`."""
        return {"model": self} if self.encoder is None else {"model.encoder": self.encoder, "model": self}

    def _symbol_width(self, first: Stack) -> int:
        widths = [super()._symbol_width(first)]
        if self.encoder is not None:
            widths.append(super()._symbol_width(self))
        return min(widths)

    @property
    def states_fit(self) -> bool:
        """Return True if the encoder's final states have the shapes of the model's own, in as many directions."""
        return self.encoder is not None and _states_fit(self.encoder, self)

    @property
    def states_join(self) -> bool:
        """Return True if the encoder's final states of both directions, concatenated, have the shapes of its own."""
        return self.encoder is not None and _states_join(self.encoder, self)

    @model_validator(mode="after")
    def _check_encoder(self) -> Self:
        if self.encoder is not None and self.symbols == "number":
            raise conflict(
                "symbols", "number is for one text; remove it, or model.encoder, which reads the first of two"
            )
        return self
