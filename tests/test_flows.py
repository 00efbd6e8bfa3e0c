"""The flow: laws of a bijector and a density, and equality with a slow float64 flow written from
its description."""

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import flows

log_prob = jax.jit(flows.log_prob)
sample = jax.jit(flows.sample)
forward_and_log_det = jax.jit(flows.forward_and_log_det)
inverse_and_log_det = jax.jit(flows.inverse_and_log_det)

CONFIGS = {
    "two dimensions": flows.Config(dim=2, hidden=8, num_blocks=2),
    "one block": flows.Config(dim=5, hidden=16, num_blocks=1),
    "fewer units than dimensions": flows.Config(dim=12, hidden=6, num_blocks=3),
    "many": flows.Config(dim=7, hidden=32, num_blocks=5),
}


def random_params(seed, config):
    """Parameters far from their initial values in every leaf, as after training; variances and
    standard deviations positive."""
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        name, noise = path[-1].key, rng.normal(size=leaf.shape)
        if name in ("std", "var"):
            return jnp.asarray(np.exp(0.3 * noise), jnp.float32)
        # Larger kernels would let five exponentials in sequence leave float32's range.
        return jnp.asarray(
            (0.6 / np.sqrt(leaf.shape[0]) if name.startswith("kernel") else 0.2) * noise,
            jnp.float32,
        )

    return jax.tree_util.tree_map_with_path(
        draw, jax.eval_shape(lambda: flows.init(jax.random.key(0), config))
    )


@pytest.fixture(scope="module", params=CONFIGS)
def case(request):
    config = CONFIGS[request.param]
    return (
        config,
        random_params(1, config),
        jnp.asarray(np.random.default_rng(2).normal(size=config.dim), jnp.float32),
    )


def reference_block(block, statistics, x):
    """One [MADE, batch normalisation, reversal] with loops over units, in float64: (u, log det)."""
    d, h = block["kernel0"].shape
    degree_in, degree_hidden = list(range(1, d + 1)), [1 + j % (d - 1) for j in range(h)]
    hidden1 = [
        max(
            0.0,
            block["bias0"][j]
            + sum(
                block["kernel0"][i, j] * x[i] for i in range(d) if degree_hidden[j] >= degree_in[i]
            ),
        )
        for j in range(h)
    ]
    connected = [[degree_hidden[j] >= degree_hidden[i] for i in range(h)] for j in range(h)]
    hidden2 = [
        max(
            0.0,
            block["bias1"][j]
            + sum(block["kernel1"][i, j] * hidden1[i] for i in range(h) if connected[j][i]),
        )
        for j in range(h)
    ]
    out = [
        block["bias2"][j]
        + sum(block["kernel2"][i, j] * hidden2[i] for i in range(h) if degree_hidden[i] < 1 + j % d)
        for j in range(2 * d)
    ]
    u, log_det = np.zeros(d), 0.0
    for i in range(d):
        u[i] = (x[i] - out[i]) * np.exp(-out[d + i])
        scale = np.exp(block["log_gain"][i]) / np.sqrt(statistics["var"][i] + 1e-5)
        u[i] = (u[i] - statistics["mean"][i]) * scale + block["shift"][i]
        log_det += -out[d + i] + np.log(scale)
    return u[::-1], log_det


def reference_flow(params, w):
    """The whole flow in float64, written from METHODS' description: (u, log det)."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    statistics = params["statistics"]
    u = (np.asarray(w, np.float64) - statistics["w"]["mean"]) / statistics["w"]["std"]
    log_det = -np.log(statistics["w"]["std"]).sum()
    for i in range(len(params["blocks"])):
        u, block_log_det = reference_block(
            params["blocks"][f"block{i}"], statistics[f"block{i}"], u
        )
        log_det += block_log_det
    return u, log_det


def test_equals_the_reference(case):
    """Breaks when masks, order of outputs, normalisation, reversal or a log-det differ from the
    description."""
    _, params, w = case
    u, log_det = forward_and_log_det(params, w)
    expected_u, expected_log_det = reference_flow(params, w)
    scale = np.abs(expected_u).max()
    np.testing.assert_allclose(u / scale, expected_u / scale, atol=2e-5)
    np.testing.assert_allclose(log_det, expected_log_det, rtol=1e-5, atol=1e-4)
    expected = -0.5 * (expected_u**2).sum() - 0.5 * len(w) * np.log(2 * np.pi) + expected_log_det
    np.testing.assert_allclose(log_prob(params, w), expected, rtol=1e-4)


def test_inverse_undoes_forward(case):
    """Breaks when the sequential inverse is not the inverse, or its log-det not the negative."""
    _, params, w = case
    u, log_det = forward_and_log_det(params, w)
    back, inverse_log_det = inverse_and_log_det(params, u)
    np.testing.assert_allclose(back, w, atol=2e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-4, atol=1e-3)


def test_log_det_is_that_of_the_jacobian(case):
    """Breaks when a layer's log-det is not its own derivative's."""
    _, params, w = case
    jacobian = jax.jit(jax.jacobian(lambda w: flows.forward_and_log_det(params, w)[0]))(w)
    np.testing.assert_allclose(
        forward_and_log_det(params, w)[1],
        np.linalg.slogdet(np.float64(jacobian))[1],
        rtol=1e-4,
        atol=1e-4,
    )


def test_made_is_triangular(case):
    """Breaks when an output of a MADE sees itself or a later input, or (all being zero) sees
    nothing before it."""
    _, params, w = case
    made = flows.Made(params["blocks"]["block0"])

    @jax.jit
    def jacobians(w):
        def both(x):
            return jnp.stack(made._shift_and_log_scale(x)), made.forward(x)

        return jax.jacobian(both)(w)

    network, jacobian = map(np.asarray, jacobians(w))
    assert not np.triu(network).any()
    assert not np.triu(jacobian, 1).any() and (np.diag(jacobian) > 0).all()


@pytest.mark.parametrize("dim, hidden", [(2, 4), (5, 16), (12, 24)])
def test_masks_connect_exactly_the_earlier_inputs(dim, hidden):
    """Breaks when an output lacks an earlier input although there are units enough."""
    first, second, last = (np.asarray(mask, int) for mask in flows.made_masks(dim, hidden))
    connected = (first @ second @ last) > 0
    np.testing.assert_array_equal(connected, np.tile(np.triu(np.ones((dim, dim), bool), 1), 2))


def test_density_integrates_to_one():
    """Breaks when log_prob is no density: the log-det of the standardisation missing, a wrong
    constant."""
    params = random_params(3, CONFIGS["two dimensions"])
    draws = jax.jit(jax.vmap(flows.sample, (0, None)))(
        jax.random.split(jax.random.key(0), 4_000), params
    )
    low, high = np.asarray(draws.min(0)) - 3, np.asarray(draws.max(0)) + 3
    axes = [np.linspace(a, b, 1_200) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    density = np.exp(jax.jit(jax.vmap(flows.log_prob, (None, 0)))(params, grid))
    assert abs(float(density.sum()) * np.prod((high - low) / 1_199) - 1) < 0.01


def test_vmap_and_leading_axes_equal_the_loop(case):
    """Breaks when a code's density depends on its neighbours, or distrax's batched call differs
    from vmap's."""
    config, params, _ = case
    w = jax.random.normal(jax.random.key(5), (3, 4, config.dim))
    loop = np.array([[log_prob(params, w[i, j]) for j in range(4)] for i in range(3)])

    @jax.jit
    def batched(params, w):
        u, log_det = flows.bijector(params).forward_and_log_det(w)
        return (
            jax.vmap(jax.vmap(flows.log_prob, (None, 0)), (None, 0))(params, w),
            flows.distribution(params).log_prob(w),
            log_det,
            *flows.bijector(params).inverse_and_log_det(u),
        )

    by_vmap, by_distrax, log_det, back, inverse_log_det = batched(params, w)
    np.testing.assert_allclose(by_vmap, loop, rtol=1e-5)
    np.testing.assert_allclose(by_distrax, loop, rtol=1e-5)
    np.testing.assert_allclose(back, w, atol=2e-4)
    np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-4, atol=1e-3)


def test_samples_have_the_density_they_are_given(case):
    """Breaks when sample is not the inverse of the direction that log_prob takes: F(sample) must be
    standard normal."""
    config, params, _ = case

    @jax.jit
    def drawn(params, keys):
        w = jax.vmap(flows.sample, (0, None))(keys, params)
        densities = jax.vmap(flows.log_prob, (None, 0))(params, w)
        return w, densities, jax.vmap(flows.forward_and_log_det, (None, 0))(params, w)[0]

    w, densities, u = drawn(params, jax.random.split(jax.random.key(7), 500))
    assert w.shape == (500, config.dim) and np.isfinite(densities).all()
    assert abs(float((u**2).sum(1).mean()) / config.dim - 1) < 5 * np.sqrt(2 / 500 / config.dim)
    np.testing.assert_array_equal(
        sample(jax.random.key(8), params), sample(jax.random.key(8), params)
    )


def test_is_a_distrax_bijector(case):
    """Breaks when the flow stops being usable as any distrax bijector is."""
    config, params, w = case
    bijector = flows.bijector(params)
    assert isinstance(bijector, distrax.Bijector) and bijector.event_ndims_in == 1

    @jax.jit
    def density_of(w):
        density = distrax.Transformed(
            distrax.MultivariateNormalDiag(jnp.zeros(config.dim)), distrax.Inverse(bijector)
        )
        assert density.event_shape == (config.dim,)
        return density.log_prob(w)

    np.testing.assert_allclose(density_of(w), log_prob(params, w), rtol=1e-6)


def test_gradients_are_finite_and_right(case):
    """Breaks when the search through the flow would see NaN or a wrong gradient."""
    _, params, w = case
    gradient = jax.jit(jax.grad(log_prob, argnums=1))(params, w)
    direction = np.random.default_rng(0).normal(size=w.shape)

    def reference_log_prob(w):
        u, log_det = reference_flow(params, w)
        return -0.5 * (u**2).sum() + log_det

    step = 1e-6 * direction
    numeric = (
        reference_log_prob(np.float64(w) + step) - reference_log_prob(np.float64(w) - step)
    ) / 2e-6
    np.testing.assert_allclose(np.float64(gradient) @ direction, numeric, rtol=2e-3, atol=2e-3)


def test_papers_flow_has_the_papers_size():
    """Breaks when the default sizes leave RLS's five blocks of hidden 1024: about 13.1 M weights at
    512 dimensions."""
    params = jax.eval_shape(lambda: flows.init(jax.random.key(0), flows.Config(dim=512)))
    kernels = [
        leaf.size
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if "kernel" in path[-1].key
    ]
    assert sum(kernels) == 5 * (512 * 1024 + 1024 * 1024 + 1024 * 1024)


def test_untrained_flow_is_seeded_and_orthogonal():
    """Breaks when the start differs from the stated one: masked orthogonal kernels, zero biases, no
    change by the normalisation."""
    config = CONFIGS["one block"]
    params = jax.jit(lambda key: flows.init(key, config))(jax.random.key(0))
    block = params["blocks"]["block0"]
    _, hidden_mask, _ = flows.made_masks(config.dim, config.hidden)
    whole = jax.nn.initializers.orthogonal()(
        jax.random.split(jax.random.split(jax.random.key(0), 1)[0], 3)[1], (config.hidden,) * 2
    )
    np.testing.assert_allclose(whole @ whole.T, np.eye(config.hidden), atol=1e-5)
    np.testing.assert_allclose(block["kernel1"], whole * hidden_mask, atol=1e-6)
    assert not any(np.any(block[name]) for name in ("bias0", "bias1", "bias2", "log_gain", "shift"))


@pytest.mark.parametrize(
    "config",
    [flows.Config(dim=1), flows.Config(dim=4, hidden=0), flows.Config(dim=4, num_blocks=0)],
)
def test_impossible_sizes_are_refused(config):
    """Breaks when a flow of one dimension ends in a division by zero."""
    with pytest.raises(ValueError, match="expected a flow with dim >= 2"):
        flows.init(jax.random.key(0), config)
