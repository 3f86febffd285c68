"""The compiled training step: several steps in one call, without Python between them."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import Buckets
from rnncli.layers import State, xla_compiles
from rnncli.models import EncoderDecoder, NetworkModel, SinglePassModel
from rnncli.runtime.function_names import stable_names
from rnncli.runtime.tensorflow_setup import Runtime
from rnncli.training.feeding import FedSteps, RowFeed
from rnncli.training.moving_average import AverageUpdate, average_variables
from rnncli.training.scheduled_sampling import Probability
from rnncli.training.sharded_optimizer import ShardedOptimizer

ROUNDED_BITS = 4
"""Significant bits of the number of examples that is compiled for: at most an eighth more than there are."""

SUM_KEY = 1
"""The key of the sum over workers of a step."""


class Batch(NamedTuple):
    """A mini-batch, or one shard of it.

    Attributes:
        source: int [rows, source steps], or float [rows, source steps, features].
        source_lengths: int32 [rows].
        target: int [rows, target steps].
        target_lengths: int32 [rows]; 0 for padding rows, which stand for no example.
    """

    source: tf.Tensor
    source_lengths: tf.Tensor
    target: tf.Tensor
    target_lengths: tf.Tensor


class ShardedBatch(NamedTuple):
    """A mini-batch of one step, or of several steps along a first axis.

    Attributes:
        parts: This worker's shards of each micro-batch, of equal size, those of the first micro-batch first.
        tokens: The number of target symbols in the whole batch, float32 [] or [steps].
        bucket: The length bucket, int32 [] or [steps].
    """

    parts: list[Batch]
    tokens: tf.Tensor
    bucket: tf.Tensor


class ShardResult(NamedTuple):
    """The result of one shard, or the sum over the same shard of all micro-batches.

    Attributes:
        loss: The sum over target symbols, float32 [].
        gradients: The gradient of the (scaled) sum for each trainable variable.
    """

    loss: tf.Tensor
    gradients: list[tf.Tensor]


class StepResults(NamedTuple):
    """The results of some steps.

    Attributes:
        losses: The loss of each batch before its update, nats per symbol, float32 [batches].
        gradient_norms: The L2 norm of the gradient of each, before clipping, float32 [batches].
    """

    losses: NDArray[np.float32]
    gradient_norms: NDArray[np.float32]


class TrainStep:
    """Trains a model on mini-batches that are given as row numbers.

    The examples stay on the device as small integers. Rows are gathered inside the step; those of mapped examples are
    read from their files before each call. A batch is split into shards that are computed in parallel. The loss is
    the sum over all target symbols divided by their number in the whole batch, so neither the split nor a short last
    batch changes what is learned.

    Micro-batches are computed one after another and their gradients summed, so that a batch needs no more memory than
    one of them. The parameters are updated once, as from the whole batch.

    With one shard on a CPU, XLA compiles the loop over steps too. XLA would not run several shards in parallel, so
    with several the loop is TensorFlow's, which starts two computations for each step. The seed is an argument of
    what is compiled, not part of it.

    Several workers (processes) compute what one process computes in as many shards as they have together: each one
    gathers the rows of its own shards, the results of all are summed as one flat array, and each one updates its own
    parameters alike.

    Args:
        model: The model; its parameters are changed.
        optimizer: The optimizer, not yet built.
        examples: The training examples.
        runtime: The device and its parallelism.
        seed: The seed of dropout.
        rows: The mini-batch size with padding; a multiple of the number of shards of all workers times that of
            micro-batches.
        stateful: Whether states are carried from step to step.
        label_smoothing: The label smoothing factor; see `smoothed_losses`.
        class_weights: The factor of the loss of each target symbol, float32 [symbols]; None is 1 for all. As with
            Keras's `class_weight`, the loss is still divided by the number of targets, not by their weight.
        micro_batches: The number of micro-batches of a mini-batch.
        ema: The decay of the moving average of the parameters; None keeps none.
        sampling: The probability of scheduled sampling, of an encoder-decoder; None is teacher forcing alone.
        buckets: The length buckets; None pads each batch to the longest example of all.
        max_steps_per_call: The maximum number of steps that XLA's loop runs in one call. Fewer steps take as much
            time and memory for their row numbers.
        max_rows_per_call: The maximum number of rows of all these steps together.
    """

    def __init__(
        self,
        model: NetworkModel,
        optimizer: keras.optimizers.Optimizer,
        examples: Examples,
        runtime: Runtime,
        seed: int,
        rows: int,
        *,
        stateful: bool = False,
        label_smoothing: float = 0.0,
        class_weights: NDArray[np.float32] | None = None,
        buckets: Buckets | None = None,
        micro_batches: int = 1,
        ema: float | None = None,
        sampling: Probability | None = None,
        max_steps_per_call: int = 512,
        max_rows_per_call: int = 2**18,
    ) -> None:
        self.model, self.optimizer, self.runtime, self.seed = model, optimizer, runtime, seed
        self.label_smoothing, self.micro_batches = label_smoothing, micro_batches
        self.sampling = sampling
        self.class_weights = None if class_weights is None else tf.constant(class_weights)
        self.variables = model.network.trainable_variables
        optimizer.build(self.variables)
        self.ema, self.averages = ema, average_variables(self.variables, ema)
        self.shapes = [] if buckets is None else buckets.shapes.tolist()
        self.workers, self.all_shards = runtime.group, runtime.group.count * runtime.shards
        self.own_rows = self._find_own_rows(rows)
        self.feed = RowFeed.of(examples, buckets, self.own_rows)
        if self.feed is None:
            self.examples = Batch(*(_on_device(getattr(examples, name)) for name in Batch._fields))
            self.bucket = None if buckets is None else _on_device(buckets.bucket)
        self.carried = {
            name: tf.Variable(tf.zeros([len(self.own_rows), *shape]), trainable=False)
            for name, shape in (model.state_spec.items() if stateful else ())
        }
        self.compiled = xla_compiles(layer.choice for layer in model.recurrent_layers)
        self.compile_loop = self.compiled and self.all_shards == 1 and not runtime.on_gpu
        self.max_steps_per_call: int | None = None
        if self.compile_loop:  # which must know the shape of the row numbers
            self.max_steps_per_call = max(1, min(max_steps_per_call, max_rows_per_call // rows))
            if self.feed is not None:
                self.max_steps_per_call = self.feed.max_steps(rows, self.max_steps_per_call)
        self.rows = rows
        self.make_functions()

    def _find_own_rows(self, rows: int) -> NDArray[np.int32]:
        """Return the places of this worker's rows in a mini-batch, int32 [own rows], in the order of its parts."""
        parts = np.arange(rows, dtype=np.int32).reshape(self.micro_batches, self.workers.count, -1)
        return parts[:, self.workers.index].reshape(-1)

    def make_functions(self) -> None:
        """Make the functions that TensorFlow compiles when they are first called."""
        self._compute_shard = tf.function(self._shard_gradients, jit_compile=self.compiled, autograph=False)
        self._flatten = tf.function(_flat_sum, jit_compile=self.compiled, autograph=False)
        self._update = ShardedOptimizer(self.optimizer, self.variables, self.runtime.shards, self.compiled)
        self._average: AverageUpdate | None = None
        if self.ema is not None:
            shards = self.runtime.shards
            self._average = AverageUpdate(self.variables, self.averages, self.ema, shards, self.compiled)
        self.graph_function = tf.function(
            self._run,
            jit_compile=self.compile_loop,
            autograph=False,
            input_signature=[self._signature(), tf.TensorSpec((), tf.int32), tf.TensorSpec((2,), tf.int32)],
        )

    def _signature(self) -> Any:
        """Return the signature of the row numbers of several steps, or of the rows that are fed."""
        steps = self.max_steps_per_call
        if self.feed is None:
            return tf.TensorSpec((steps, self.rows), tf.int32)
        fed = self.feed(np.full((1, self.rows), -1, np.int32), None)
        return tf.nest.map_structure(lambda values: tf.TensorSpec((steps, *values.shape[1:]), values.dtype), fed)

    def __call__(self, rows: NDArray[np.int32], step: int) -> StepResults:
        """Train on some mini-batches.

        Args:
            rows: Row numbers of the examples, int32 [batches, rows]; -1 is padding.
            step: The number of steps done before.
        """
        size = self.max_steps_per_call or len(rows)
        found = [self._call(rows[i : i + size], step + i) for i in range(0, len(rows), size)]
        return StepResults(*np.concatenate(found).T)

    def reset_states(self) -> None:
        """Start the next step from zero states."""
        for carried in self.carried.values():
            carried.assign(tf.zeros_like(carried))

    def _call(self, rows: NDArray[np.int32], step: int) -> NDArray[np.float32]:
        count = len(rows)
        seed = tf.constant([self.seed, step])
        given = tf.nest.map_structure(tf.constant, self._given(rows))
        with stable_names("train", given):
            results: NDArray[np.float32] = self.graph_function(given, tf.constant(count), seed).numpy()
        return results[:count]

    def _given(self, rows: NDArray[np.int32]) -> NDArray[np.int32] | FedSteps:
        """Return what the compiled function is given of some steps: row numbers, or the rows of mapped files."""
        steps = self.max_steps_per_call
        if self.feed is not None:
            return self.feed(rows, steps)
        return rows if steps is None else np.pad(rows, ((0, steps - len(rows)), (0, 0)), constant_values=-1)

    def _run(self, given: Any, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        results: tf.Tensor = self.runtime.strategy.run(self._run_steps, args=(given, count, seed))
        return results

    def _run_steps(self, given: Any, count: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Train `count` steps; `seed` is that of dropout and the number of steps before.

        Returns:
            The loss and the gradient's norm of each, float32 [steps, 2].
        """
        # TensorFlow's loop gathers the rows of all steps at once, which is faster; XLA's needs no memory for them
        all_steps = None if self.compile_loop else self._gather(given)

        def run_step(i: tf.Tensor, results: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            select = partial(tf.nest.map_structure, partial(tf.gather, indices=i))
            batch = self._gather(select(given)) if all_steps is None else select(all_steps)
            return i + 1, results.write(i, self._run_step(batch, seed + tf.stack([0, i])))

        results = tf.TensorArray(tf.float32, size=tf.shape(tf.nest.flatten(given)[0])[0], element_shape=[2])
        _, results = tf.while_loop(lambda i, _: i < count, run_step, (tf.constant(0), results), parallel_iterations=1)
        return results.stack()

    def _gather(self, given: Any) -> ShardedBatch:
        """Return the mini-batch of a step, or those of several steps, of what `_given` returns."""
        if self.feed is None:
            return self._gather_rows(given)
        *values, tokens, bucket = given
        return ShardedBatch(self._split(Batch(*values), len(tokens.shape)), tokens, bucket)

    def _split(self, batch: Batch, axis: int) -> list[Batch]:
        """Return this worker's shards of each micro-batch."""
        splits = (tf.split(values, self.runtime.shards * self.micro_batches, axis=axis) for values in batch)
        return [Batch(*shard) for shard in zip(*splits, strict=True)]

    def _gather_rows(self, rows: tf.Tensor) -> ShardedBatch:
        axis, real = len(rows.shape) - 1, rows >= 0
        rows = tf.maximum(rows, 0)
        lengths = tf.where(real, tf.gather(self.examples.target_lengths, rows), 0)
        tokens = tf.cast(tf.reduce_sum(lengths, axis=axis), tf.float32)
        own, own_lengths = rows, lengths
        if self.workers.count > 1:
            own, own_lengths = (tf.gather(values, self.own_rows, axis=axis) for values in (rows, lengths))
        batch = Batch(*(tf.gather(values, own) for values in self.examples))._replace(target_lengths=own_lengths)
        bucket = tf.zeros_like(rows) if self.bucket is None else tf.gather(self.bucket, rows)
        return ShardedBatch(self._split(batch, axis), tokens, tf.reduce_max(tf.where(real, bucket, 0), axis=axis))

    def _run_step(self, batch: ShardedBatch, seed: tf.Tensor) -> tf.Tensor:
        """Train a step; return its loss and the gradient's norm, float32 [2]."""
        results = self._results(batch, seed)
        if self.workers.count == 1:
            loss_and_norm = self._apply(results, batch.tokens)
        else:
            total = self.workers.sum(self._flatten(*zip(*results, strict=True)), SUM_KEY)
            loss_and_norm = self._apply_sum(total, batch.tokens)
        if self._average is not None:
            self._average(seed[1])
        return loss_and_norm

    def _results(self, batch: ShardedBatch, seed: tf.Tensor) -> list[ShardResult]:
        """Return the loss and the gradients of each of this worker's shards."""
        if not self.shapes:
            return self._compute(batch.parts, seed)
        branches = [
            partial(self._compute, [_trim(part, *shape) for part in batch.parts], seed) for shape in self.shapes
        ]
        results: list[ShardResult] = tf.switch_case(batch.bucket, branches)
        return results

    def _compute(self, parts: list[Batch], seed: tf.Tensor) -> list[ShardResult]:
        """Return the loss and the gradients of each shard; carry the states to the next step."""
        pieces = {name: tf.split(value.value(), len(parts)) for name, value in self.carried.items()}
        initial = [{name: piece[number] for name, piece in pieces.items()} for number in range(len(parts))]
        if self.micro_batches == 1:
            results, states = self._compute_shards(parts, initial, seed, 0)
        else:
            results, states = self._accumulate(parts, initial, seed)
        for name, carried in self.carried.items():
            carried.assign(tf.concat([state[name] for state in states], axis=0))
        return results

    def _compute_shards(
        self, shards: list[Batch], initial: list[State], seed: tf.Tensor, micro_batch: int | tf.Tensor
    ) -> tuple[list[ShardResult], list[State]]:
        """Return the result and the final states of each shard of a micro-batch, which is counted from 0."""
        results, states = [], []
        first = micro_batch * self.all_shards + self.workers.index * self.runtime.shards
        probability = None if self.sampling is None else self.sampling(seed[1])
        for number, (shard, start) in enumerate(zip(shards, initial, strict=True)):
            shard_seed = seed * [1, self.all_shards * self.micro_batches] + [0, first + number]
            with stable_names("train a shard", shard):
                loss, gradients, state = self._compute_shard(shard, shard_seed, start, probability)
            results.append(ShardResult(loss, gradients))
            states.append(state)
        return results, states

    def _accumulate(
        self, parts: list[Batch], initial: list[State], seed: tf.Tensor
    ) -> tuple[list[ShardResult], list[State]]:
        """Return for each shard the sum over micro-batches, which are computed one after another; and all states."""
        shards = self.runtime.shards
        stacked = [_stacked(parts[number::shards]) for number in range(shards)]
        starts = [_stacked(initial[number::shards]) for number in range(shards)]

        def compute(
            at: tf.Tensor, sums: list[ShardResult], states: list[dict[str, tf.TensorArray]]
        ) -> tuple[tf.Tensor, list[ShardResult], list[dict[str, tf.TensorArray]]]:
            batch, start = tf.nest.map_structure(partial(tf.gather, indices=at), (stacked, starts))
            results, ended = self._compute_shards(batch, start, seed, at)
            states = [
                {name: array.write(at, state[name]) for name, array in arrays.items()}
                for arrays, state in zip(states, ended, strict=True)
            ]
            return at + 1, tf.nest.map_structure(_sum, sums, results), states

        zero = ShardResult(tf.zeros([]), [tf.zeros(v.shape, v.value.dtype) for v in self.variables])
        empty = [
            {
                name: tf.TensorArray(tf.float32, self.micro_batches, element_shape=value.shape[1:])
                for name, value in start.items()
            }
            for start in starts
        ]
        _, sums, states = tf.while_loop(
            lambda at, *_: at < self.micro_batches,
            compute,
            (tf.constant(0), [zero] * shards, empty),
            parallel_iterations=1,
        )
        ends = [{name: array.stack() for name, array in arrays.items()} for arrays in states]
        numbers = [divmod(number, shards) for number in range(len(parts))]
        return sums, [{name: value[at] for name, value in ends[shard].items()} for at, shard in numbers]

    def _shard_gradients(
        self, shard: Batch, seed: tf.Tensor, initial: State, probability: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, list[tf.Tensor], State]:
        source, target = tf.cast(shard.source, self.model.source_dtype), tf.cast(shard.target, tf.int32)
        with tf.GradientTape() as tape:
            state: State = {}
            if initial and isinstance(self.model, SinglePassModel):  # only these can be stateful
                logits, state = self.model.read_from(initial, source, shard.source_lengths, seed)
            elif probability is not None and isinstance(self.model, EncoderDecoder):
                logits = self.model.sampled_logits(source, shard.source_lengths, target, seed, probability)
            else:
                logits = self.model.logits(source, shard.source_lengths, target, seed)
            losses = smoothed_losses(
                target, tf.cast(logits, tf.float32), self.label_smoothing, self.model.target_symbols
            )
            if self.class_weights is not None:
                losses *= tf.gather(self.class_weights, target)
            counted = tf.sequence_mask(shard.target_lengths, tf.shape(target)[1])
            loss = tf.reduce_sum(tf.where(counted, losses, 0.0))
            scaled = self.optimizer.scale_loss(loss)  # for float16; the optimizer unscales the gradients
        # the output of a custom cell need not depend on all of its weights
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(scaled, [v.value for v in self.variables], unconnected_gradients=zero)
        state = {name: tf.cast(value, tf.float32) for name, value in state.items()}
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients], state

    def _apply(self, results: list[ShardResult], tokens: tf.Tensor) -> tf.Tensor:
        """Update the parameters; return the mean loss per symbol and the norm of the gradient, float32 [2]."""
        losses, gradients = zip(*results, strict=True)
        norm = self._update(list(gradients), tokens)
        return tf.stack([tf.add_n(list(losses)) / tokens, norm])

    def _apply_sum(self, total: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
        """Update the parameters from the flat sum over all workers; return what `_apply` does."""
        shapes = [variable.value.shape for variable in self.variables]
        *flat, loss = tf.split(total, [*(shape.num_elements() for shape in shapes), 1])
        norm = self._update([[tf.reshape(each, shape) for each, shape in zip(flat, shapes, strict=True)]], tokens)
        return tf.stack([loss[0] / tokens, norm])


def _on_device(values: NDArray[Any]) -> tf.Tensor:
    """Return an array of examples as a tensor, with zeros up to a rounded number of them.

    What is compiled for some examples then serves for a few more or less.
    """
    unit = 1 << max(0, len(values).bit_length() - ROUNDED_BITS)
    return tf.constant(np.pad(values, ((0, -len(values) % unit), *((0, 0),) * (values.ndim - 1))))


def _flat_sum(losses: tuple[tf.Tensor, ...], gradients: tuple[list[tf.Tensor], ...]) -> tf.Tensor:
    """Return the sums over shards of the gradients and of the loss as one array, float32 [parameters + 1]."""
    sums = [tf.reshape(tf.add_n(list(each)), [-1]) for each in zip(*gradients, strict=True)]
    return tf.concat([*sums, tf.reshape(tf.add_n(list(losses)), [1])], axis=0)


def _stacked(members: list[Any]) -> Any:
    """Return structures of the same form as one, whose tensors have a first axis for them."""
    return tf.nest.map_structure(lambda *values: tf.stack(values), *members)


def _sum(total: tf.Tensor, more: tf.Tensor) -> tf.Tensor:
    """Return a sum with the static shape of the first, as that of gradients of some custom cells is unknown."""
    result = total + more
    result.set_shape(total.shape)
    return result


def _trim(batch: Batch, source_steps: int, target_steps: int) -> Batch:
    return Batch(
        batch.source[:, :source_steps],
        tf.minimum(batch.source_lengths, source_steps),  # padding rows, which have no targets, may be longer
        batch.target[:, :target_steps],
        tf.minimum(batch.target_lengths, target_steps),
    )


def smoothed_losses(target: tf.Tensor, logits: tf.Tensor, smoothing: float, symbols: int | None = None) -> tf.Tensor:
    """Return the cross entropy with label smoothing (Szegedy et al. 2016, section 7).

    Args:
        target: int32 [batch, steps].
        logits: float32 [batch, steps, vocabulary].
        smoothing: The label smoothing factor; 0 is plain cross entropy.
        symbols: The first so many logits are smoothed over, which leaves out symbols that are copied by their place;
            None is all.

    Returns:
        Nats, float32 [batch, steps].
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    if not smoothing:
        return losses
    uniform = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits[..., :symbols], axis=-1)
    return (1 - smoothing) * losses + smoothing * uniform
