"""Objectives in slow float64 NumPy: each term, and each method's own, prior, operator and flow
included."""

import itertools
import math

import jax
import numpy as np
import toy

from jaxsr.metrics.perceptual import perceptual


def pairs(w):
    return itertools.combinations(np.asarray(w, np.float64), 2)


def slow_geocross(w):
    w = np.asarray(w, np.float64)
    thetas = [
        2
        * math.atan2(math.sqrt(((a - b) ** 2).sum() + 1e-9), math.sqrt(((a + b) ** 2).sum() + 1e-9))
        for a in w
        for b in w
    ]
    return np.mean([w.shape[1] * theta**2 for theta in thetas]) / 8


def slow_gaussianisation(u):
    u = np.asarray(u, np.float64)
    return np.mean([(math.sqrt((row**2).sum()) - math.sqrt(len(row))) ** 2 for row in u])


SLOW = {
    "geocross": slow_geocross,
    "pairwise_mean_l2": lambda w: np.mean([math.sqrt(((a - b) ** 2).sum()) for a, b in pairs(w)]),
    "pairwise_sum_sq": lambda w: sum(((a - b) ** 2).sum() for a, b in pairs(w)),
    "gaussianisation": slow_gaussianisation,
}


# The toy


def slow_measurement(params, w_plus, noise):
    """The toy prior and the box operator by loops over layers and maps."""
    return slow_image(params, w_plus, noise).reshape(4, 4, 4, 4, 3).mean((1, 3))


def slow_image(params, w_plus, noise):
    affine = params["synthesis"]["b4"]["affine"]
    image = (
        0.5 + w_plus[0] @ affine["kernel"] / math.sqrt(8) + affine["bias"] + np.zeros((16, 16, 3))
    )
    for layer, w in enumerate(w_plus):
        weight = params["synthesis"][list(toy.BLOCKS)[layer // 2]]["weight"][layer % 2]
        image += np.kron(np.tensordot(w, weight, 1), np.ones((16 // weight.shape[1],) * 2 + (1,)))
    for map in noise:
        strength = params["synthesis"][f"b{len(map)}"]["noise_strength"]
        image += strength * np.kron(map, np.ones((16 // len(map),) * 2))[..., None]
    return image


def slow_flow(flow, w):
    """u and log-determinant of one row; masked weights are zero in the parameters, so the masks are
    not needed."""
    x = (w - flow["statistics"]["w"]["mean"]) / flow["statistics"]["w"]["std"]
    log_det = -np.log(flow["statistics"]["w"]["std"]).sum()
    for name in sorted(flow["blocks"]):
        block, statistics = flow["blocks"][name], flow["statistics"][name]
        hidden = np.maximum(x @ block["kernel0"] + block["bias0"], 0)
        hidden = np.maximum(hidden @ block["kernel1"] + block["bias1"], 0)
        m, a = np.split(hidden @ block["kernel2"] + block["bias2"], 2)
        scale = np.exp(block["log_gain"]) / np.sqrt(statistics["var"] + 1e-5)
        x = (((x - m) * np.exp(-a) - statistics["mean"]) * scale + block["shift"])[::-1]
        log_det += np.log(scale).sum() - a.sum()
    return x, log_det


def slow_weight(term, params, config, measurements=1, channels=1):
    """What preset `scaled` makes of a weight: times the term's size at the papers' (512 dimensions,
    18 layers, deviation 0.44, 16 x 16 x 3 measurements, 512 channels) over that at the toy's."""
    if not config.fitted:
        return 1.0
    variance = np.mean(params["statistics"]["w_std"] ** 2)
    size = {
        "dimension": lambda d, l, s2, m, c: d,
        "sum_sq": lambda d, l, s2, m, c: len(list(itertools.combinations(range(l), 2))) * d * s2,
        "mean_l2": lambda d, l, s2, m, c: math.sqrt(d * s2),
        "geocross": lambda d, l, s2, m, c: d * (l * l - l) / (l * l),
        "pixel": lambda d, l, s2, m, c: math.sqrt(m),
        "semantic": lambda d, l, s2, m, c: c,
    }[term]
    return size(512, 18, 0.44**2, 768, 512) / size(8, 6, variance, measurements, channels)


def slow_pulse(params, y, context, variables, config):
    statistics = params["statistics"]
    raw = variables["v"] * statistics["white_std"] + statistics["white_mean"]
    w_plus = np.broadcast_to(np.where(raw > 0, raw, 0.2 * raw), (6, 8))
    fit = np.mean(
        (slow_measurement(params, w_plus, variables["noise"] + context["noise"]) - y) ** 2
    )
    weight = 0.05 * slow_weight("geocross", params, config)
    return 100 * max(fit, 2e-3) + weight * slow_geocross(w_plus)


def slow_pulse_l1(params, y, context, variables, config):
    statistics = params["statistics"]
    raw = variables["v"] * statistics["white_std"] + statistics["white_mean"]
    w_plus = np.where(raw > 0, raw, 0.2 * raw)
    fit = np.mean(
        np.abs(slow_measurement(params, w_plus, variables["noise"] + context["noise"]) - y)
    )
    return 100 * 10 * max(fit, 2e-3) + 0.05 * slow_geocross(w_plus)


def slow_rls(params, y, context, variables, config):
    w_plus = variables["w_plus"]
    rows = [slow_flow(params["flow"], w) for w in w_plus]
    log_prob = [
        -0.5 * (u**2).sum() - len(u) / 2 * math.log(2 * math.pi) + log_det for u, log_det in rows
    ]
    gaussian = slow_gaussianisation([u for u, _ in rows])
    cross = SLOW[f"pairwise_{config.cross}"](w_plus)
    fit = np.abs(slow_measurement(params, w_plus, context["noise"]) - y).mean()
    flow = config.gaussian_weight * gaussian - config.flow_weight * np.mean(log_prob)
    return (
        config.fit_weight * fit
        + slow_weight("dimension", params, config) * flow
        + config.cross_weight * slow_weight(config.cross, params, config) * cross
    )


def slow_refinement(params, y, context, variables, config):
    params = {**params, "synthesis": variables["synthesis"]}
    noise = variables["noise"] + context["noise"]
    return (
        config.fit_weight * np.abs(slow_measurement(params, variables["w_plus"], noise) - y).mean()
    )


def slow_features(params, image):
    """The toy discriminator's maps at 16, 8 and 4 px."""
    return [
        image.reshape(r, 16 // r, r, 16 // r, 3).mean((1, 3)) @ params["discriminator"]["colours"]
        for r in (16, 8, 4)
    ]


def slow_rlse(params, y, context, variables, config):
    params = {**params, "synthesis": variables["synthesis"]}
    statistics = params["statistics"]
    raw = variables["v"] * statistics["white_std"] + statistics["white_mean"]
    w_plus = np.where(raw > 0, raw, 0.2 * raw)
    measured = slow_measurement(params, w_plus, variables["noise"] + context["noise"])
    pairs = zip(
        *(slow_features(params, slow_entry(m, config.entry)) for m in (measured, y)), strict=True
    )
    literal = config.reduction == "norm"
    pixel = np.sqrt(((measured - y) ** 2).sum()) if literal else np.mean((measured - y) ** 2)
    differences = [np.abs(a - b) for a, b in list(pairs)[-config.blocks :]]
    semantic = sum(d.sum() if literal else d.mean() for d in differences)
    geocross = config.geocross_weight * slow_geocross(w_plus)
    geocross *= slow_weight("geocross", params, config)
    pixel *= slow_weight("pixel", params, config, measurements=y.size)
    semantic *= slow_weight("semantic", params, config, channels=differences[0].shape[-1])
    return config.pixel_weight * pixel + config.semantic_weight * semantic + geocross


def slow_entry(measured, entry):
    """Least norm: repetition, because the operator is a mean over 4x4. Bicubic: its matrix, column
    by column."""
    if entry == "pinv":
        return np.kron(measured, np.ones((4, 4, 1)))
    columns = [jax.image.resize(np.eye(4, dtype=np.float32)[i], (16,), "bicubic") for i in range(4)]
    matrix = np.asarray(np.stack(columns, 1), np.float64)
    return np.einsum("hi,wj,ijc->hwc", matrix, matrix, measured)


def single(function, *arrays):
    """The value of the perceptual network, which has tests of its own, at single precision."""
    return float(function(*jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), arrays)))


def slow_fidelity(params, config, measured, y):
    if config.side == "256":
        seen = [
            np.asarray(jax.image.resize(np.asarray(m, np.float32), (256, 256, 3), "linear"))
            for m in (measured, y)
        ]
    else:
        seen = [measured, y]
    distance = single(perceptual("features").distance, params["perceptual"], *seen)
    return config.fit_weight * np.mean((measured - y) ** 2) + config.perceptual_weight * distance


def slow_prior(params, config, w_plus):
    """sigma: the root of the mean squared distance of a w from the mean, as StyleGAN2's projector
    has it."""
    statistics = params["statistics"]
    sigma = np.sqrt(np.sum(statistics["w_std"] ** 2))
    return config.prior_weight * np.mean(((w_plus - statistics["w_mean"]) / sigma) ** 2)


def slow_cosine(config, w_plus):
    cosines = [
        abs(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a in w_plus for b in w_plus
    ]
    return config.cosine_weight * (np.mean(cosines) if config.cosine == "mean" else np.sum(cosines))


def slow_brgm(params, y, context, variables, config):
    w_plus = variables["w_plus"]
    measured = slow_measurement(params, w_plus, context["noise"])
    return (
        slow_fidelity(params, config, measured, y)
        + slow_prior(params, config, w_plus)
        + slow_cosine(config, w_plus)
    )


def slow_brgm_vi(params, y, context, variables, config):
    """The inverse gamma density b^a / Gamma(a) x^(-a - 1) exp(-b / x) of x = std / 2, with a = 0.1
    and b = 0.95."""
    mean, std = variables["mean"], np.log1p(np.exp(variables["rho"]))
    terms = []
    for normal in context["normal"]:
        w_plus = mean + normal * std
        measured = slow_measurement(params, w_plus, context["noise"])
        terms.append(
            slow_fidelity(params, config, measured, y) + slow_prior(params, config, w_plus)
        )
    density = 0.95**0.1 / math.gamma(0.1) * (std / 2) ** -1.1 * np.exp(-0.95 / (std / 2))
    return np.mean(terms) + slow_cosine(config, mean) - np.mean(np.log(density))


def slow_mganprior(params, y, context, variables, config):
    """The cut lies behind the 4 px block: its part of the image is composed, the rest is that of
    the mean w."""
    codes = []
    for z in variables["z"]:
        raw = params["mapping"]["kernel"] @ z + params["mapping"]["bias"]
        codes.append(np.where(raw > 0, raw, 0.2 * raw))
    weight = params["synthesis"]["b4"]["weight"]
    maps = [np.kron(np.tensordot(w, weight[0] + weight[1], 1), np.ones((4, 4, 1))) for w in codes]
    noise = (
        params["synthesis"]["b4"]["noise_strength"]
        * np.kron(params["noise"][0], np.ones((4, 4)))[..., None]
    )
    composed = sum(
        (part + noise) * alpha for part, alpha in zip(maps, variables["alpha"], strict=True)
    ) / len(codes)
    mean = np.mean(codes, 0)
    whole = slow_image(params, np.stack([mean] * 6), params["noise"])
    own = np.kron(np.tensordot(mean, weight[0] + weight[1], 1), np.ones((4, 4, 1))) + noise
    measured = (whole - own + composed).reshape(4, 4, 4, 4, 3).mean((1, 3))
    enlarged = [np.kron(m, np.ones((64, 64, 1))) for m in (measured, y)]
    l1 = single(perceptual("features").l1, params["perceptual"], *enlarged)
    return config.fit_weight * np.mean((measured - y) ** 2) + config.perceptual_weight * l1


def slow_decode(params, z):
    raw = params["mapping"]["kernel"] @ z + params["mapping"]["bias"]
    return np.stack([np.where(raw > 0, raw, 0.2 * raw)] * 6)


def slow_csgm(params, y, context, variables, config):
    each = [
        np.mean((slow_measurement(params, slow_decode(params, z), params["noise"]) - y) ** 2)
        for z in variables["z"]
    ]
    return config.fit_weight * sum(each)


def slow_iagan(params, y, context, variables, config):
    params = {**params, **variables["weights"]}
    return config.fit_weight * np.mean(
        (slow_measurement(params, slow_decode(params, variables["z"]), params["noise"]) - y) ** 2
    )


def slow_phased(params, y, context, variables, config):
    """W++ by its definition: a code of its own for each channel of the one modulation, moved along
    its row."""
    latent = {**context, **variables}
    w_plus = np.broadcast_to(latent["w_plus"], (6, 8))
    affine = params["synthesis"]["b4"]["affine"]
    colours = np.zeros(3)
    for channel in range(3):
        row = affine["kernel"][:, channel]
        moved = latent["styles"]["b4/affine"][channel, 0] if "styles" in latent else 0.0
        colours[channel] = (w_plus[0] + moved * row / np.linalg.norm(row)) @ row / math.sqrt(8)
    plain = w_plus[0] @ affine["kernel"] / math.sqrt(8)
    measured = (
        (slow_image(params, w_plus, params["noise"]) + colours - plain)
        .reshape(4, 4, 4, 4, 3)
        .mean((1, 3))
    )
    distance = 0.0
    while len(y) > config.smallest:
        distance += single(perceptual("features").distance, params["perceptual"], measured, y)
        measured, y = (
            m.reshape(len(m) // 2, 2, len(m) // 2, 2, 3).mean((1, 3)) for m in (measured, y)
        )
    return distance + config.l1_weight * np.abs(measured - y).mean()
