"""What every experiment shares: settings as flags, one-line errors, the compilation cache.

settings = flags.define(Config())  # a flag for every field of a frozen dataclass
flags.run(main)  # at the end; main() takes nothing and reads settings()
"""

import ctypes
import dataclasses
import difflib
import io
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NoReturn

from absl import app, logging
from absl import flags as absl_flags

from jaxsr.records import files

FLAGS = absl_flags.FLAGS
Precision = Literal["float32", "tf32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = typing.get_args(Precision)
MOST_DEVICES = 8  # on a CPU; threads too, where there are no more cores
WAIT = "xla_cpu_collective_call_terminate_timeout_seconds"
SOME_FAILED = 3  # exit status of a run in which some photos have no result
HELP = {"--help", "-help", "-h", "--h", "-?"}

# The flags defined here belong to the experiment, so that its --help lists them.
absl_flags.disclaim_key_flags()


def define(
    default: Any,
    *,
    prefix: str = "",
    without: tuple[str, ...] = (),
    tables: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> Callable[[], Any]:
    """Defines a flag for each field of `default`, an instance of a frozen dataclass, but those
    `without`, which keep their value; returns a function that reads them back as one.

    Fields may be int, float, str, bool, `Literal`, a tuple of numbers (--name=1,2), a tuple of str
    (the flag repeated), another dataclass (flags `name.field`), or any of them `| None`. The help
    of a flag is the field's text in the class docstring ("name: text"), or in that of the class
    that it is inherited from. "{methods}" in it becomes the names in tables["methods"], so that a
    new one is told of; where that is a dict of texts, a line each of name and text.
    """
    hints = typing.get_type_hints(type(default))
    fields = [f.name for f in dataclasses.fields(default) if f.name not in without]
    listed = {name: _listed(table) for name, table in tables.items()}
    readers = {name: _define_field(default, name, hints[name], prefix, listed) for name in fields}
    return lambda: dataclasses.replace(default, **{name: read() for name, read in readers.items()})


def _listed(table: Iterable[str]) -> str:
    if isinstance(table, Mapping) and all(isinstance(text, str) for text in table.values()):
        return "".join(f"\n{name}: {text}" for name, text in table.items())
    return ", ".join(table)


def _define_field(
    default: Any, field: str, hint: Any, prefix: str, listed: Mapping[str, str]
) -> Callable[[], Any]:
    value, name = getattr(default, field), prefix + field
    text = re.sub(r"\{(\w+)\}", lambda found: listed[found[1]], _help(type(default), field))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(a for a in typing.get_args(hint) if a is not type(None))
    if dataclasses.is_dataclass(hint):
        return define(value, prefix=f"{name}.")
    if typing.get_origin(hint) is typing.Literal:
        holder = absl_flags.DEFINE_enum(name, value, list(typing.get_args(hint)), text)
    elif hint == tuple[str, ...]:
        holder = absl_flags.DEFINE_multi_string(name, list(value), text)
        return lambda: tuple(holder.value)
    elif typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        holder = absl_flags.DEFINE_list(
            name, None if value is None else [str(v) for v in value], text
        )
        return lambda: (
            None
            if holder.value is None
            else _numbers(name, holder.value or ([""] if value is None else []), item)
        )
    else:
        makers = {
            bool: absl_flags.DEFINE_bool,
            int: absl_flags.DEFINE_integer,
            float: absl_flags.DEFINE_float,
            str: absl_flags.DEFINE_string,
        }
        holder = makers[hint](name, value, text)
    return lambda: holder.value


def short(letters: Mapping[str, str]) -> None:
    """Defines letters for flags: -i photos is --input=photos."""
    for letter, name in letters.items():
        absl_flags.DEFINE_alias(letter, name)


def _numbers(name: str, texts: list[str], kind: Callable[[str], Any]) -> tuple:
    try:
        return tuple(kind(text) for text in texts)
    except ValueError:
        raise ValueError(
            f"--{name} must be numbers separated by commas, got {','.join(texts)!r}"
        ) from None


def _help(config_class: type, field: str) -> str:
    """The docstring's "field: text", up to the line that starts the next field, as a sentence."""
    lines = [
        line.strip() for kind in config_class.__mro__ for line in (kind.__doc__ or "").splitlines()
    ]
    names = [f.name for f in dataclasses.fields(config_class)]
    start = next((i for i, line in enumerate(lines) if line.startswith(f"{field}:")), None)
    if start is None:
        raise ValueError(
            f"{config_class.__name__} does not describe {field}, and --help would say nothing of it"
        )
    text = [lines[start].partition(":")[2].strip()]
    for line in lines[start + 1 :]:
        if not line or any(line.startswith(f"{n}:") for n in names):
            break
        text.append(line)
    first, *rest = " ".join(text).split(" ")
    # A name that may be given stays as it is.
    return " ".join([first[:1].upper() + first[1:] if first.isalpha() else first, *rest])


def fail(message: str) -> NoReturn:
    """Ends the program with one line on stderr and exit status 2."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(str(message).split()))
    print(f"{Path(sys.argv[0]).name}: error: {line}", file=sys.stderr)
    sys.exit(2)


def choose(name: str, known: Iterable[str], what: str) -> str:
    """Returns `name` when it is one of `known`; else raises ValueError that names the nearest and
    all known ones."""
    known = list(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown {what} {name!r}: {hint}known: {', '.join(known)}")


def names(flag: str, values: Iterable[str]) -> list[str]:
    """The names that a flag was given, repeated or separated by commas, each once; [] where it was
    not given.

    Raises:
        ValueError: it is empty.
    """
    values = list(values)
    found = list(
        dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip())
    )
    if values and not found:
        raise ValueError(f"--{flag} is empty: expected names separated by commas")
    return found


def given(names: Iterable[str]) -> list[str]:
    """Those of these flags that the command line has."""
    return [name for name in names if FLAGS[name].present]


def require(settings: Any, least: dict[str, int], filled: Iterable[str]) -> None:
    """Raises ValueError for a number below its least (or above 2^31 - 1), and for a path, or one of
    several, that is empty; None passes."""
    for name in filled:
        value = getattr(settings, name)
        if "" in (value if isinstance(value, tuple) else (value,)):
            raise ValueError(f"--{name} is empty: expected a path")
    for name, low in least.items():
        value = getattr(settings, name)
        if value is not None and not low <= value < 2**31:
            raise ValueError(f"--{name} must be from {low} to 2^31 - 1, got {value}")


def run(main: Callable[[], int | None]) -> None:
    """Parses the flags and runs `main()`.

    A mistake in the flags, ValueError, OSError and lack of device memory end as one line with
    status 2 (with --debug as a traceback), Ctrl-C as one line with status 130. What `main` returns
    is the status: 0 or None when all is done, SOME_FAILED.
    """
    debug = absl_flags.DEFINE_bool("debug", False, "Show the full traceback of an error.")

    def guarded(argv: list[str]) -> int | None:
        logging.set_verbosity(logging.WARNING)  # jax tells at INFO which backends there are not
        if len(argv) > 1:
            fail(
                f"unexpected argument {argv[1]!r}: every setting is a flag (--name=value); "
                "quote patterns (--input='photos/*.png')"
            )
        keep_freed_memory()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A log that is followed shows each line when it is written.
            sys.stdout.reconfigure(line_buffering=True, errors=files.ESCAPE)
        try:
            return main()
        except KeyboardInterrupt:
            print(
                f"{Path(sys.argv[0]).name}: stopped; what was finished is kept, the same "
                "command goes on from there",
                file=sys.stderr,
            )
            sys.exit(130)
        except (ValueError, OSError, RuntimeError) as error:
            if debug.value or not _expected(error):
                raise
            fail(_one_line(error))

    app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
    if HELP & set(argv):
        app.usage(shorthelp=True, writeto_stdout=True)
        sys.exit(0)
    try:
        return FLAGS(argv)
    except absl_flags.Error as error:
        told = re.sub(
            r"invalid literal for int\(\) with base 10:", "expected a whole number, got", str(error)
        )
        told = told.replace("could not convert string to float:", "expected a number, got")
        fail(f"{told} (--help lists the flags)")


def _expected(error: Exception) -> bool:
    return not isinstance(error, RuntimeError) or "RESOURCE_EXHAUSTED" in str(error)


def _one_line(error: Exception) -> str:
    if isinstance(error, RuntimeError):
        smaller = next(
            (
                f"--{name}"
                for name in FLAGS
                if name.rpartition(".")[2] in ("batch_size", "batch", "chunk")
            ),
            "prior",
        )
        return f"the device is out of memory: use a smaller {smaller}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def cache_compilations() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start compiles nothing.
    Does nothing where that folder cannot be written or where JAX_COMPILATION_CACHE_DIR already
    names one."""
    import jax

    from jaxsr.records.files import cache_folder

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        try:
            folder = cache_folder() / "jaxsr" / "xla"
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # RuntimeError: a user without a home
            return
        if not os.access(folder, os.W_OK):
            return
        jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def compute_in(precision: Precision) -> str | None:
    """Sets how precise an accelerator's float32 products are, which JAX leaves to the device; what
    a network's convolutions compute in where that is not float32."""
    import jax

    if precision == "bfloat16":
        return precision
    jax.config.update("jax_default_matmul_precision", precision.replace("tf32", "tensorfloat32"))
    return None


def one_device_a_core(*, alike: bool = True) -> None:
    """Makes each CPU core a device, so that photos are restored side by side: a step of one photo
    keeps hardly more than one core busy. Has no effect on accelerators, nor where XLA_FLAGS or
    JAX_NUM_CPU_DEVICES already say how many there are.

    How XLA splits sums, and so their rounding, depends on its number of threads (NPROC) and on
    whether there are several devices; a search carries that on to visible differences. So machines
    of up to 8 cores have 8 threads and at least 2 devices, and CPUs of one kind one result. A
    training depends on its devices anyway, as each draws its own numbers: not `alike`, it has a
    thread a core, and is up to a fifth faster.

    Devices that share a training step wait for each other however busy the machine is: after 40 s
    XLA would end the process.
    """
    import jax

    if WAIT not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --{WAIT}=3600".strip()
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if cores <= MOST_DEVICES:
        os.environ.setdefault("NPROC", str(MOST_DEVICES if alike else max(2, cores)))
    if (
        "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", "")
        and "JAX_NUM_CPU_DEVICES" not in os.environ
    ):
        jax.config.update("jax_num_cpu_devices", max(2, min(cores, MOST_DEVICES)))


def keep_freed_memory() -> None:
    """Makes glibc keep what the program frees instead of handing it back to the system. XLA
    allocates a CPU program's buffers anew at every call, and each fresh page costs a fault: joining
    arrays to one of 113 MB took 168 ms, and takes 38 ms with this. Does nothing elsewhere.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim_threshold, mmap_max = -1, -4  # malloc.h
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
