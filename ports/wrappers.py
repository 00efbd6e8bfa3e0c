"""The networks of a checkpoint, out of what people wrap around them: the first thing that happens
to what was read, before any table.

| in the file | what becomes of it |
|---|---|
| `state_dict`, `model_state_dict`, `params`, `model`, `g`, `netG`, any other key, nested | opened |
| a list or a tuple of a few networks | opened |
| `params_ema`, `g_ema`, `G_ema`, `ema`, `state_dict_ema`, `model_ema`, `g_running`, `Gs`; a name \
that begins with one, in Lightning's `callbacks` too; a state dict with `n_averaged` | preferred: \
averaged weights |
| names that all begin with one word, or some with one of `PREFIXES`, stacked in any order | the \
words go: `module._orig_mod.generator.conv1.bias` is `conv1.bias` |
| `_orig_mod.` and other words of torch, anywhere in a name | go |
| a module as one object (`torch.save(model)`), also in a `DataParallel` | its arrays by name |
| optimisers, schedules, settings, arguments, epochs | passed over |
| the words around a StyleGAN2, whatever they are | go, by the names that its generator has |
| `latent_avg`, `mean_latent`, `w_avg` beside it, [w_dim] or a row for each layer | its mean of w |
| a StyleGAN2's discriminator beside it (`d`, `D`, `discriminator.`, any other) | read if it fits |

What was taken instead of an average, and what was left out, is told under "notes".
"""

import collections
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ports import modules
from ports.constructors import NDArray, Tensor
from ports.pickles import Record
from ports.tables import few

# Words that a name may begin with, and that say nothing of the network.
PREFIXES = {
    *("module", "model", "net", "network", "networks", "state_dict", "backbone"),
    *("generator", "gen", "g", "G", "netG", "net_g", "net_G", "decoder", "stylegan"),
    *("ema", "g_ema", "G_ema", "netG_ema", "generator_ema", "model_ema", "ema_model"),
    *("avg_model", "averaged_model", "student", "teacher", "unet", "denoiser", "diffusion_model"),
}
_NEUTRAL = {"module"}  # what torch itself puts around a network that it runs on many devices
# What torch writes into names, of inner modules too, that it compiles, shards or recomputes.
_OF_TORCH = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_AVERAGED = re.compile(r"(?i:(.*[_.-])?(ema|avg|averaged?|running|shadow)([_.-].*)?)|Gs|avgG|.*EMA")
_NO_NETWORK = re.compile(
    r"(?i:.*(optim|sched|hyper_?param|loops|scaler|history|metrics).*|opts?|args)"
)
_DEEPEST = 8  # wrappers and prefixes
_FEWEST = 5  # arrays of a network under a prefix
_MOST = 4_000  # places that are looked into
_MOST_NAMES = 400_000  # in all of them
_COST_OF_MODULE = 10_000  # names, as many as may be looked at to find its arrays
_MOST_LISTED = 16  # networks in a list
_MOST_TRIED = 40  # candidates of one file


class Network(NamedTuple):
    """A state dict in a checkpoint, or the part of one that a prefix holds.

    Attributes:
        arrays: by the names without wrappers and prefixes.
        path: the wrappers and prefixes, outermost first.
        known: every prefix is one of `PREFIXES`, or the only one.
        module: the object that held them, where it is one.
        beside: first words of names that the prefixes exclude.
    """

    arrays: dict[str, Any]
    path: tuple[str, ...] = ()
    known: bool = True
    module: Record | None = None
    beside: tuple[str, ...] = ()

    @property
    def averaged(self) -> bool:
        """Whether it says of itself that it is a moving average of weights."""
        return "n_averaged" in self.path or any(map(_AVERAGED.fullmatch, self.path))


def networks(content: Any) -> list[Network]:
    """Every network in what was read of a file: averaged ones first, then those under known
    prefixes, then the outermost."""
    found: list[Network] = []
    waiting: collections.deque = collections.deque([(content, Network({}))])
    places = names = 0
    while waiting and places < _MOST and names < _MOST_NAMES:
        value, at = waiting.popleft()
        own, inner = _opened(value, at)
        places += 1
        names += (
            len(own.arrays)
            + len(inner)
            + (_COST_OF_MODULE if value is own.module is not None else 0)
        )
        if own.arrays:
            found.append(own)
            inner = inner + [(None, part) for part in _under_prefixes(own)]
        if len(at.path) < _DEEPEST:
            waiting.extend(inner)
    return sorted(found, key=lambda one: (not one.averaged, not one.known, len(one.path)))


def _opened(value: Any, at: Network) -> tuple[Network, list[tuple[Any, Network]]]:
    """The arrays that lie open in a value, and what is to be looked into, each with its place;
    without a value those that are `at` the place."""
    if value is None:
        return at, []
    if modules.is_module(value):
        return at._replace(arrays=_of_module(value), module=value), []
    if isinstance(value, Record):
        value = value.state
    if type(value) in (list, tuple):
        listed = value if len(value) <= _MOST_LISTED else ()
        return at, _inner(enumerate(listed), at)
    if not isinstance(value, dict):
        return at, []
    arrays = {
        _OF_TORCH.sub("", str(name)): part for name, part in value.items() if _is_array(part, name)
    }
    averaged = ("n_averaged",) if "n_averaged" in value else ()
    at = at._replace(arrays=arrays, path=at.path + averaged)
    return at, _inner(value.items(), at)


def _of_module(module: Record) -> dict[str, Any]:
    try:
        return modules.arrays(module)
    except ValueError:  # damaged, or made to be read for ever
        return {}


def _inner(parts: Iterable[tuple[Any, Any]], at: Network) -> list[tuple[Any, Network]]:
    """The parts that a network may lie in, each with its place."""
    return [
        (part, Network({}, (*at.path, str(name)), at.known, None, at.beside))
        for name, part in parts
        if isinstance(part, dict | list | tuple | Record)
        and not isinstance(part, Tensor)
        and not _NO_NETWORK.fullmatch(str(name)[:100])
    ]


def _is_array(value: Any, name: Any) -> bool:
    """Numbers are arrays where their name is that of a layer's."""
    return isinstance(value, Tensor | NDArray) or (
        isinstance(value, float | int) and "." in str(name)
    )


def _under_prefixes(network: Network) -> Iterator[Network]:
    """The parts of a state dict whose names begin with the same word, without it."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in network.arrays.items():
        word, dot, rest = name.partition(".")
        inner = parts.setdefault(word, {})
        if dot:
            inner[rest] = value
    for word, arrays in parts.items():
        if len(arrays) >= _FEWEST and not word.isdigit():
            beside = (
                *network.beside,
                *(other for other in parts if parts[other] and other != word),
            )
            known = network.known and (len(parts) == 1 or word in PREFIXES)
            yield Network(arrays, (*network.path, word), known, _part(network, word), beside)


def _part(network: Network, word: str) -> Record | None:
    """The module inside a network's module."""
    return network.module.state["_modules"].get(word) if network.module else None


class Candidate(NamedTuple):
    """What a port may be asked about, in place of a file's content, and what is told if it takes
    it."""

    contents: list[Any]
    notes: tuple[str, ...] = ()


def candidates(contents: list[Any]) -> Iterator[Candidate]:
    """What `contents` of one or more files may stand for, the best first: averaged networks, the
    networks as they lie open, the files as they are, networks in wrappers and under prefixes."""
    found = [[one for one in networks(content) if one.known] for content in contents]
    if len(found) == 1:
        first = [one for one in found[0] if one.averaged or not one.path]
        last = [one for one in found[0] if one not in first]
        yield from (Candidate([one.arrays], told(one)) for one in first[:_MOST_TRIED])
        yield Candidate(contents)
        yield from (Candidate([one.arrays], told(one)) for one in last[:_MOST_TRIED])
        return
    yield Candidate(contents)
    if all(found):
        # What all names begin with is no name of a part, so that a network keeps all its arrays.
        yield Candidate([max(ones, key=_whole).arrays for ones in found])


def nameless_average(content: Any, depth: int = 3) -> tuple[str, ...]:
    """What is told of a file whose moving average is a list of arrays without names, as torch_ema
    keeps it ("shadow_params"): which of the network's each is, nothing tells."""
    if not isinstance(content, dict) or not depth:
        return ()
    listed = content.get("shadow_params")
    if isinstance(listed, list) and listed and all(isinstance(x, Tensor) for x in listed):
        return (
            f"the file's moving average (EMA) is {len(listed)} arrays without names "
            "(shadow_params), which is not read: copy it into the network "
            "(ema.copy_to(model.parameters())) and save that",
        )
    inner = (nameless_average(part, depth - 1) for part in content.values())
    return next((told for told in inner if told), ())


def _whole(network: Network) -> tuple[bool, int, int]:
    return network.averaged, len(network.arrays), len(network.path)


def told(network: Network, used: Iterable[str] = ()) -> tuple[str, ...]:
    """What a user should know of where a network was found; `used` lies beside it, and was read
    too."""
    notes = []
    if not network.averaged and not _NEUTRAL.issuperset(network.path):
        where = " ".join(".".join(network.path).split())[:80]
        notes.append(
            f"the file names no moving average (EMA) of the weights: those in {where} were taken"
        )
    beside = [" ".join(word.split())[:40] for word in network.beside if word not in used]
    if beside:
        notes.append(f"left out, beside the network: {few(beside)}")
    return tuple(notes)
