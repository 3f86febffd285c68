"""XLA's flags, and which recurrences are unrolled."""

from concurrent.futures import ThreadPoolExecutor

from rnncli.runtime import xla as compilation


def test_default_flags_do_not_replace_flags_of_the_user():
    level, width = "--xla_backend_optimization_level=2", "--xla_cpu_prefer_vector_width=512"
    assert compilation.with_default_flags("") == f"{level} {width}"
    told = compilation.with_default_flags("--xla_dump_to=x")
    assert told == f"--xla_dump_to=x {level} {width}"
    assert compilation.with_default_flags(told) == told  # of a process within a process, lest its cache is another
    theirs = "--xla_backend_optimization_level=0"
    assert compilation.with_default_flags(theirs) == f"{theirs} {width}"
    assert compilation.with_default_flags("/etc/flags") == "/etc/flags", "a file that has the flags"


def test_sequences_of_any_length_are_unrolled_in_one_thread_alone():
    assert not compilation.unrolls(1000, 1000)
    with compilation.unrolling(), ThreadPoolExecutor(1) as pool:
        assert compilation.unrolls(1000, 1000)
        assert not pool.submit(compilation.unrolls, 1000, 1000).result()
    assert not compilation.unrolls(1000, 1000)
