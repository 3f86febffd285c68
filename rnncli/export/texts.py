"""The signature from texts to texts of a SavedModel, in TensorFlow's string operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from rnncli.data.tokenizers import BYTE_SYMBOLS, UNKNOWN_SHOWN
from rnncli.data.vocabulary import EOS, EOS_ID, PAD, SPECIALS, UNKNOWN
from rnncli.export.functions import ExportedModule, ModelFunctions, Tensors, concrete
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import IDS, SCORE

TOKENIZERS = ("characters", "whitespace", "bytes")
"""The tokenizers that TensorFlow's string operations can be."""
NO_ID = -1
"""The value of the table for unknown symbols where the vocabulary has no symbol for them."""


class TextRules(NamedTuple):
    """The way from text to ids and back.

    Attributes:
        source: Tokenizer of sources, one of `TOKENIZERS`.
        target: Tokenizer of targets.
        reverse: True if the model reads sources from their end.
        reverse_answer: True if it writes targets from their end.
        strip: True if white space around a source is no part of it.
    """

    source: str = "characters"
    target: str = "characters"
    reverse: bool = False
    reverse_answer: bool = False
    strip: bool = True


def text_rules(task: Mapping[str, Any]) -> TextRules | None:
    """Return the rules of a task's section of the config; None where TensorFlow's operations cannot follow them."""
    tokenize = task.get("tokenize", "characters")
    source, target = [tokenize] * 2 if isinstance(tokenize, str) else (tokenize["source"], tokenize["target"])
    if task.get("features", "none") != "none" or not {source, target} <= set(TOKENIZERS):
        return None
    return TextRules(
        source, target, bool(task.get("reverse")), bool(task.get("reverse_answer")), task["type"] != "text"
    )


class Texts:
    """Texts to ids and back.

    Args:
        saved: The run.
        rules: The rules of its task.
        module: The module that keeps the table.
    """

    def __init__(self, saved: SavedRun, rules: TextRules, module: ExportedModule) -> None:
        self.rules, self.sizes = rules, saved.task.sizes
        source, target = saved.task.source_vocabulary, saved.task.target_vocabulary
        known = [symbol for symbol in source.symbols if symbol not in SPECIALS]
        values = tf.constant([source.ids[symbol] for symbol in known], tf.int32)
        keys = tf.constant([_escaped(symbol, rules.source) for symbol in known])
        unknown = source.ids.get(UNKNOWN, NO_ID)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), unknown)
        module.table = self.table
        shown = {PAD: "", "<bos>": "", EOS: "", UNKNOWN: UNKNOWN_SHOWN}
        self.symbols = tf.constant([_escaped(shown.get(s, s), rules.target) for s in target.symbols])
        self.ends = EOS in target.ids

    def read(self, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the ids of texts, int32 [batch, source steps], and their lengths.

        Texts that are too long, or have a symbol that the model has no id for, are an InvalidArgumentError, as
        `rnncli predict` refuses them.
        """
        stripped = tf.strings.strip(texts) if self.rules.strip else texts
        if self.rules.source == "whitespace":
            symbols = tf.strings.split(stripped)
        elif self.rules.source == "bytes":
            symbols = tf.strings.bytes_split(stripped)
        else:
            symbols = tf.strings.unicode_split(stripped, "UTF-8")
        symbols = symbols[:, ::-1] if self.rules.reverse else symbols
        ids = tf.ragged.map_flat_values(self.table.lookup, symbols)
        steps, lengths = self.sizes.source_steps, tf.cast(symbols.row_lengths(), tf.int32)
        long = f"a source is longer than {steps} symbols"
        strange = "a source has a symbol that the model does not know"
        checks = [
            tf.debugging.assert_less_equal(lengths, steps, message=long),
            tf.debugging.assert_none_equal(ids.flat_values, NO_ID, message=strange),
        ]
        with tf.control_dependencies(checks):
            return ids.to_tensor(0, shape=[None, steps]), tf.identity(lengths)

    def show(self, ids: tf.Tensor) -> tf.Tensor:
        """Return the texts of ids, string [batch]."""
        symbols = tf.gather(self.symbols, ids)
        if self.ends:
            symbols = tf.where(tf.cumsum(tf.cast(ids == EOS_ID, tf.int32), axis=1) == 0, symbols, "")
        symbols = tf.reverse(symbols, [1]) if self.rules.reverse_answer else symbols
        if self.rules.target != "whitespace":
            return tf.strings.reduce_join(symbols, 1)
        joined = tf.strings.reduce_join(symbols, 1, separator=" ")
        return tf.strings.strip(tf.strings.regex_replace(joined, " +", " "))


def text_signature(saved: SavedRun, functions: ModelFunctions, module: ExportedModule) -> Any | None:
    """Return the signature from `source`, string [batch], to `text` and `score`; None where there can be none.

    Texts must be in the normal form of `task.normalize`, which TensorFlow has no operation for.

    Args:
        saved: The run.
        functions: The functions of its model.
        module: The module that keeps the table of symbols.
    """
    rules = text_rules(saved.config.task.model_dump(mode="json"))
    if rules is None or saved.task.sizes.features is not None or saved.config.stateful:
        return None
    texts = Texts(saved, rules, module)

    def predict(source: tf.Tensor) -> Tensors:
        ids, lengths = texts.read(source)
        zeros = functions.zero_states(tf.shape(ids)[0])
        found = functions.predict(ids, lengths, **zeros)
        return {"text": texts.show(found[IDS]), SCORE: found[SCORE]}

    return concrete(predict, {"source": tf.TensorSpec([None], tf.string, "source")})


def _escaped(symbol: str, tokenizer: str) -> bytes:
    """Return the bytes of a symbol; of the symbol of a byte, such as `<0xC3>`, that byte."""
    if tokenizer == "bytes" and symbol in BYTE_SYMBOLS:
        return bytes([BYTE_SYMBOLS.index(symbol)])
    return symbol.encode()
