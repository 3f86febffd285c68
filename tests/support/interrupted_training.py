"""Trainings that are interrupted: what tests of resuming share.

Run as a script it imports TensorFlow once, and forks a process for each line of JSON that it reads, which runs the
command line with a plan of what shall happen to it; it answers with how the process ended.
"""

import atexit
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS, Checkpoints

ADDITION = "{type: addition, digits: 1, examples: 55, held_out: 9}"  # 46 to train on: 6 steps, the last one short
TRAINING = "{epochs: 4, batch_size: 8, schedule: warmup_cosine, warmup_steps: 5, clip_norm: 1.0, csv_log: true}"
STEPS = 6
MODELS = {
    "smallest": {"task": ADDITION, "model": "{type: classifier, cell: simple_rnn, units: 4}"},
    "lstm": {"task": ADDITION, "model": "{type: repeat_vector, encoder: {units: 6}, decoder: {units: 6}}"},
    "gru with all dropouts": {
        "task": ADDITION,
        "model": "{type: encoder_decoder, cell: gru, encoder: {units: 6, dropout: 0.3, recurrent_dropout: 0.3, "
        "bidirectional: true}, decoder: {units: 12, dropout: 0.2, recurrent_dropout: 0.2}, bridge: concat}",
    },
    "stateful": {
        "task": "{type: text, window: 5, windows: 48, held_out: 16}",
        "model": "{type: next_step, stateful: true, reset: never, units: 6}",
    },
    "two texts": {
        "task": "{type: classify, texts: 2, tokenize: characters, max_length: 6, examples: 55, held_out: 9}",
        "model": "{type: classifier, cell: gru, units: 6, embedding: 3, dropout: 0.2, recurrent_dropout: 0.2, "
        "encoder: {units: 4, bidirectional: true, embedding: 3, recurrent_dropout: 0.2}}",
    },
    "attention on pairs": {
        "task": "{type: pairs, train: pairs.tsv, validation: pairs.tsv, max_source_length: 8, max_target_length: 8}",
        "model": "{type: encoder_decoder, attention: general, encoder: {units: 6, bidirectional: true}, "
        "decoder: {units: 6, embedding: 4, output_dropout: 0.3}}",
    },
    "monotonic attention on pairs": {
        "task": "{type: pairs, train: pairs.tsv, validation: pairs.tsv, max_source_length: 8, max_target_length: 8}",
        "model": "{type: encoder_decoder, attention: monotonic, attention_order: 1, attention_window: 3, encoder: "
        "{units: 6, bidirectional: true}, decoder: {units: 6, embedding: 4, output_dropout: 0.3}}",
    },
    "scheduled sampling": {
        "task": ADDITION,
        "model": "{type: encoder_decoder, cell: simple_rnn, encoder: {units: 6}, decoder: {units: 6, dropout: 0.3}}",
    },
}


def write_config(folder, name, training=TRAINING, every="5 steps", cores=1):
    """A config of a few steps, and its data; returns its path."""
    words = ["".join(random.Random(n).choices("abcdef", k=n % 6 + 2)) for n in range(46)]
    (folder / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words))
    if name.endswith("attention on pairs"):
        training = f"{training.rstrip('}')}, buckets: 2, label_smoothing: 0.1}}"
    if name == "scheduled sampling":
        training = f"{training.rstrip('}')}, scheduled_sampling: {{probability: 0.5, ramp_epochs: 2}}}}"
    sections = {**MODELS[name], "training": training, "runtime": f"{{cores: {cores}}}"}
    sections["checkpoint"] = f"{{every: {every}}}"
    path = folder / "config.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in sections.items()))
    return path


def end(run):
    """Digests of the weights, the optimizer and the carried states that training ended with."""
    found, wrong = Checkpoints(Path(run)).newest_sound()
    assert not wrong
    return [weights_digest(found.arrays.get(file, {})) for file in (WEIGHTS, OPTIMIZER, STATES)]


def best(run):
    """The best checkpoint: its weights' digest, and its metrics but for times."""
    arrays, record = Checkpoints(Path(run)).load_arrays()
    return weights_digest(arrays), timeless(record.metrics)


def timeless(values):
    return {key: value for key, value in values.items() if key not in ("seconds", "examples_per_second")}


def metrics(run):
    """Return the lines of metrics.jsonl without times."""
    return [timeless(json.loads(line)) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def csv(run):
    """The rows of metrics.csv, but for times."""
    names, *rows = [line.split(",") for line in (Path(run) / "metrics.csv").read_text().splitlines()]
    return [timeless(dict(zip(names, row, strict=True))) for row in rows]


def rnncli(*arguments):
    """The command line, in this process."""
    from click.testing import CliRunner

    from rnncli.cli.main import main

    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def steps(path, text, until=None, search_path=None):
    """Train in a directory, from its newest checkpoint if it has one; return what comes of it."""
    from rnncli.config import parse_config
    from rnncli.runtime.user_code import NO_SEARCH_PATH
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.interruption import Stop
    from rnncli.training.job import TrainingJob

    inputs = TrainingInputs.read(parse_config(text, "c"), search_path or NO_SEARCH_PATH)
    with TrainingJob.resume_with(inputs, path) if path.exists() else TrainingJob.new(inputs, path) as job:
        return job.run(stop=Stop(until))


def resumed(run):
    """Return the checkpoint that resuming a run starts from."""
    from rnncli.runs.directory import RunDir
    from rnncli.runs.resume import find_resume_point

    directory = RunDir(run)
    config = directory.read_config()
    return find_resume_point(directory, config, directory.read_task(config))


def check_equal(one, other):
    """Check that two runs ended alike, to the bit."""
    assert end(one) == end(other)
    assert best(one) == best(other)
    assert metrics(one) == metrics(other)
    assert csv(one) == csv(other)


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def damage_newest(run, how=halve):
    """Damage the weights of the newest checkpoint; returns its name."""
    name = Checkpoints(Path(run)).names()[0]
    how(Path(run) / "checkpoints" / name / WEIGHTS)
    return name


class Server:
    """Forks trainings; see the module.

    Args:
        compiled: Whether XLA compiles them, as it does outside of tests.
        unrolled: Whether it unrolls short sequences, as it does outside of tests; that takes longer.
    """

    def __init__(self, compiled, unrolled=False):
        command = [sys.executable, __file__, *["compiled"] * compiled, *["unrolled"] * unrolled]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, folder, *arguments, **plan):
        """Run rnncli; returns its exit status, negative for a signal, and its stderr."""
        print(json.dumps([str(folder), list(map(str, arguments)), plan]), file=self.process.stdin, flush=True)
        status = json.loads(self.process.stdout.readline())
        return status, (Path(folder) / "stderr").read_text()

    def workers(self, folder, count, *arguments, victim=None, **plan):
        """Run rnncli in processes that train together; returns the exit status and the stderr of each.

        The plan is for one of them, the victim.
        """
        others = {"step": 0} if "step" in plan else {}  # one step a call, as the first worker decides for all
        plans = [plan if index == victim else others for index in range(count)]
        request = [str(folder), list(map(str, arguments)), {"workers": plans}]
        print(json.dumps(request), file=self.process.stdin, flush=True)
        statuses = json.loads(self.process.stdout.readline())
        return statuses, [(Path(folder) / f"stderr{index}").read_text() for index in range(count)]

    def close(self):
        self.process.communicate()


def serve():
    from rnncli.runtime import xla as compilation

    compilation.XLA = "compiled" in sys.argv
    if compilation.XLA and "unrolled" not in sys.argv:
        compilation.UNROLL_STEPS = 0
    import_tensorflow()
    for line in sys.stdin:
        folder, arguments, plan = json.loads(line)
        if "workers" in plan:
            children = fork_workers(folder, arguments, plan["workers"])
            print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True)
            continue
        child = fork(folder, arguments, plan)
        if "kill_after" in plan:
            time.sleep(plan["kill_after"])  # the instant is what is tested
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


def import_tensorflow():
    """Import TensorFlow and Keras as the `rnncli` command does, but with no cache of compilations yet."""
    from rnncli.runtime.held_messages import hold_messages
    from rnncli.runtime.tensorflow_setup import NO_KERAS_HOME

    os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": NO_KERAS_HOME}
    with hold_messages():
        import keras
        import tensorflow

    return tensorflow, keras


def fork_workers(folder, arguments, plans):
    from rnncli.cluster.meeting import free_addresses

    cluster, children = {"worker": list(free_addresses(len(plans)))}, []
    for index, plan in enumerate(plans):
        config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        own = [*arguments, *plan.pop("more", [])]
        children.append(fork(folder, own, plan, str(index), {"TF_CONFIG": json.dumps(config)}))
    return children


def fork(folder, arguments, plan, suffix="", environment=None):
    if child := os.fork():
        return child
    os.environ.update(environment or {})
    be_child(folder, arguments, plan, suffix)
    raise AssertionError("it has ended")


def be_child(folder, arguments, plan, suffix):
    from rnncli.cli.main import main
    from rnncli.runtime.tensorflow_setup import claim_process

    status = 70
    try:
        os.chdir(folder)
        for stream, name in ((0, os.devnull), (1, f"stdout{suffix}"), (2, f"stderr{suffix}")):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), stream)
        sys.stdin = open(0)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # lets them ignore both
        prepare(plan)
        claim_process()  # as the `rnncli` command does
        main(arguments)
    except SystemExit as exit_:
        status = exit_.code or 0
    finally:
        atexit._run_exitfuncs()  # closes the cache of compilations
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def prepare(plan):
    """Let the process send itself a signal: before a step, after an epoch's line of metrics, inside of a write.

    Or execute code.
    """

    def send():
        if plan["signal"] == "SIGSTOP":
            subprocess.Popen(["/bin/sh", "-c", f"sleep 0.5; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), getattr(signal, plan["signal"]))

    if "code" in plan:
        exec(plan["code"], {})
    if "step" in plan:
        send_before_step(plan["step"], send)
    if "epoch" in plan:
        send_after_epoch(plan["epoch"], send)
    if "write" in plan:
        send_in_write(plan["write"], send)
    if "slow" in plan:
        write_slowly(plan["slow"])


def send_before_step(number, send):
    from rnncli.training import loop, step

    loop.CALL_SECONDS = 1e-9  # one step a call
    call = step.TrainStep.__call__

    def calling(self, rows, done):
        if done + 1 == number:
            send()
        return call(self, rows, done)

    step.TrainStep.__call__ = calling


def send_after_epoch(number, send):
    from rnncli.runs.directory import RunDir

    append = RunDir.append_metrics

    def appending(self, values):
        append(self, values)
        if values["epoch"] == number:
            send()

    RunDir.append_metrics = appending


def send_in_write(number, send):
    from rnncli.runs import checkpoints

    write, written = checkpoints.write_synced, []

    def writing(path, data):
        written.append(path)
        if len(written) == number:
            path.write_bytes(data[: len(data) // 2])
            send()
        write(path, data)

    checkpoints.write_synced = writing


def write_slowly(seconds):
    from rnncli.runs import checkpoints

    write = checkpoints.write_synced

    def writing(path, data):
        path.write_bytes(data[: len(data) // 2])
        time.sleep(seconds)
        write(path, data)

    checkpoints.write_synced = writing


if __name__ == "__main__":
    serve()
