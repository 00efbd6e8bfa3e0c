"""Training checkpoints: what comes back is what went in, whatever happened in between."""

import signal
import subprocess
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from jaxsr.training import checkpoints, loop
from jaxsr.training.restorer_config import Config


class State(NamedTuple):
    params: dict
    opt_state: optax.OptState
    key: jax.Array
    step: jax.Array


def make_state(seed):
    key = jax.random.key(seed)
    params = {
        "float32": jax.random.normal(key, (3, 4)),
        "list": [jax.random.normal(key, (5,), jnp.bfloat16), jnp.zeros((0, 2))],
        "bool": jax.random.bernoulli(key, shape=(7,)),
        "int": jax.random.randint(key, (2, 3), 0, 99),
    }
    opt_state = optax.adam(1e-3).init({"float32": params["float32"]})
    return State(params, opt_state, jax.random.split(jax.random.fold_in(key, 1)), jnp.int32(seed))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


@pytest.mark.parametrize("abstract", [False, True])
def test_round_trip_is_exact(tmp_path, abstract):
    """Breaks when a dtype, a PRNG key, an empty leaf or the meta does not survive, with concrete
    and abstract templates."""
    state, meta = (
        make_state(3),
        {"settings": {"lr": 1e-4, "names": ["a", "b"]}, "history": [0.1, None]},
    )
    checkpoints.save(tmp_path / "run", 3, state, meta)
    template = jax.eval_shape(lambda: make_state(0)) if abstract else make_state(0)
    restored, restored_meta = checkpoints.restore(tmp_path / "run", template)
    assert_same(restored, state)
    assert restored_meta == checkpoints.read_meta(tmp_path / "run") == meta
    jax.random.normal(restored.key[0])  # still a typed key


def test_keeps_the_last_steps_only(tmp_path):
    """Breaks when old checkpoints pile up, or the newest is not the one that comes back."""
    for step in (1, 5, 10):
        checkpoints.save(tmp_path, step, make_state(step), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["10", "5"]
    assert checkpoints.latest(tmp_path) == 10
    assert_same(checkpoints.restore(tmp_path, make_state(0))[0], make_state(10))


def test_no_checkpoint_yet(tmp_path):
    """Breaks when a fresh start is mistaken for an error, or a restore from nothing for a
    success."""
    assert checkpoints.latest(tmp_path / "missing") is None
    assert checkpoints.latest(tmp_path) is None
    assert not (tmp_path / "missing").exists()
    with pytest.raises(ValueError, match="missing or has none"):
        checkpoints.restore(tmp_path, make_state(0))


def other_program(folder):
    with ocp.CheckpointManager(folder) as manager:
        manager.save(4, args=ocp.args.StandardSave({"a": jnp.ones(3)}))


def file_instead(folder):
    folder.write_text("hello")


def photos_instead(folder):
    folder.mkdir()
    (folder / "cat.png").write_text("hello")


def damaged(folder):
    checkpoints.save(folder, 3, make_state(3), {})
    for path in (folder / "3" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:10])


def good(folder):
    checkpoints.save(folder, 3, make_state(3), {})


WRONG = {
    "another program's": (other_program, make_state, "expected a checkpoint of format"),
    "a file": (file_instead, make_state, "got a file"),
    "photos": (photos_instead, make_state, "a folder that is missing or has none"),
    "damaged": (damaged, make_state, "expected a readable checkpoint"),
    "leaf missing": (good, lambda s: (make_state(s), jnp.ones(2)), "no such leaf"),
    "leaf left over": (good, lambda s: make_state(s)._replace(params={}), "no such leaf, got"),
    "shape": (
        good,
        lambda s: make_state(s)._replace(step=jnp.zeros(2, jnp.int32)),
        r"step to be int32\[2\], got int32\[\]",
    ),
    "dtype": (
        good,
        lambda s: make_state(s)._replace(step=jnp.float32(0)),
        r"step to be float32\[\], got int32\[\]",
    ),
}


FOREIGN = (".DS_Store", "Thumbs.db", ".nfs000001", "@eaDir/x", "notes.txt", "9", "4/mine", "99/x")


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_leave_there_is_left_alone(name, tmp_path):
    """A file manager, a network drive or the user stops a training at its next checkpoint; or a
    folder with a number for a name passes for a checkpoint, or is deleted as an old one."""
    checkpoints.save(tmp_path, 3, make_state(3), {})
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert checkpoints.latest(tmp_path) == 3
    for step in (5, 6, 7):
        checkpoints.save(tmp_path, step, make_state(step), {})
    assert_same(checkpoints.restore(tmp_path, make_state(0))[0], make_state(7))
    steps = {path.name for path in tmp_path.iterdir()} - {name.partition("/")[0]}
    assert steps == {"6", "7"}
    assert (tmp_path / name).read_text() == "mine"


def test_a_step_whose_name_is_taken_is_one_line(tmp_path):
    (tmp_path / "5").mkdir()
    with pytest.raises(ValueError, match="5: expected no such file, got one: move it elsewhere"):
        checkpoints.save(tmp_path, 5, make_state(5), {})


@pytest.mark.parametrize("case", WRONG)
def test_wrong_folder_or_template_is_one_clear_line(tmp_path, case):
    """Breaks when a mismatch is restored silently or ends in a page of Orbax's traceback."""
    make_folder, template, message = WRONG[case]
    make_folder(tmp_path / "run")
    with pytest.raises(ValueError, match=message) as error:
        checkpoints.restore(tmp_path / "run", template(0))
    assert "\n" not in str(error.value)


def test_a_step_cannot_be_saved_twice(tmp_path):
    """Breaks when a second run in the same folder overwrites the first."""
    checkpoints.save(tmp_path, 3, make_state(3), {})
    for step in (2, 3):
        with pytest.raises(ValueError, match="above 3"):
            checkpoints.save(tmp_path, step, make_state(1), {})
    assert_same(checkpoints.restore(tmp_path, make_state(0))[0], make_state(3))


SAVER = """
import sys
import jax.numpy as jnp
sys.modules["distrax"] = sys.modules["tensorflow_datasets"] = None
from jaxsr.training import checkpoints, loop, restorer
step = checkpoints.latest(sys.argv[1]) or 0
while True:
    step += 1
    checkpoints.save(sys.argv[1], step, {"x": jnp.full((200, 100), step)}, {"step": step})
    print(step, flush=True)
"""


def test_kill_leaves_the_last_good_one(tmp_path):
    """Breaks when kill -9 at any moment leaves nothing, half a step, or a folder that cannot be
    continued, or distrax is needed."""
    folder = tmp_path / "run"
    for delay in (0.0, 0.029):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        reported = [int(process.stdout.readline()) for _ in range(3)][-1]
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split()
        step = checkpoints.latest(folder)
        assert step is not None and step >= int(rest[-1] if rest else reported)
        state, meta = checkpoints.restore(folder, {"x": jnp.zeros((200, 100), jnp.int32)})
        assert meta == {"step": step} and (state["x"] == step).all()
    checkpoints.save(folder, step + 1, {"x": jnp.zeros(1)}, {})
    # What the kills left is gone.
    assert sorted(p.name for p in folder.iterdir()) == sorted([str(step), str(step + 1)])


def test_a_setting_newer_than_the_checkpoint_is_at_its_default(tmp_path):
    """A run of days could not go on with a program that has learned one more option, or would go on
    with another one unnoticed."""
    checkpoints.save(tmp_path, 1, {"x": jnp.ones(2)}, {"config": {"batch": 8}})
    template, defaults = {"x": jnp.zeros(2)}, {"config": {"batch": 4, "new": 1.0}}
    state, _ = checkpoints.resume(
        tmp_path, template, {"config": {"batch": 8, "new": 1.0}}, defaults
    )
    np.testing.assert_array_equal(state["x"], 1)
    with pytest.raises(ValueError, match=r"config = \{'new': 1.0\}, got \{'new': 2.0\}"):
        checkpoints.resume(tmp_path, template, {"config": {"batch": 8, "new": 2.0}}, defaults)


def test_another_run_is_refused_by_what_differs(tmp_path):
    """Two long lists of settings hide the one that differs; or a run that diverged cannot go on
    with the lower rate that it is told to."""
    settings = {"config": loop.fixed(Config(learning_rate=1.0)), "seed": 0}
    checkpoints.save(tmp_path, 1, {"x": jnp.ones(2)}, settings)
    state, _ = checkpoints.resume(
        tmp_path,
        {"x": jnp.zeros(2)},
        {"config": loop.fixed(Config(learning_rate=0.1)), "seed": 0},
    )
    np.testing.assert_array_equal(state["x"], 1)
    with pytest.raises(
        ValueError,
        match=r"holds a run with config = \{'batch': 8\}, got \{'batch': 4\}; choose another",
    ):
        checkpoints.resume(
            tmp_path, {"x": jnp.zeros(2)}, {"config": loop.fixed(Config(batch=4)), "seed": 0}
        )
