"""A Gaussian prior, whose best denoiser is linear: DDRM and DDNM are affine in the photo and in
their noise then, and the mean and the covariance of what they make are known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import diffusion, operators

SHAPE = (4, 4, 3)
N = 48
OPERATORS = {
    "downsample": operators.downsample(2, image_shape=SHAPE),
    "box": operators.downsample(2, image_shape=SHAPE, kernel="box"),
    "mask": operators.mask(np.arange(16).reshape(4, 4) % 3 > 0, SHAPE),
    "grey": operators.grey(SHAPE),
    "compressed_sensing": operators.compressed_sensing(jax.random.key(3), 20, SHAPE),
    "linear": operators.linear(lambda x: jnp.stack([x[0], 2 * x[1] + x[2]]), SHAPE),
}


class Gaussian(NamedTuple):
    """N(mean [48], cov [48, 48]), of images in [-1, 1]."""

    mean: np.ndarray
    cov: np.ndarray

    def denoise(self, chain: diffusion.Chain):
        """The best denoiser, with all that a chain's steps need."""
        kept = np.zeros(chain.steps.max() + 1)
        kept[chain.steps] = chain.kept
        gains = [self.gain((1 - k) / k) if k else np.zeros((N, N)) for k in kept]
        mean, gains, kept = jnp.float32(self.mean), jnp.float32(np.stack(gains)), jnp.float32(kept)

        def denoise(image, step):
            x = image.reshape(-1) / jnp.sqrt(kept[step])
            rest = (x - mean) - jnp.matmul(gains[step], x - mean, precision="highest")
            return (jnp.sqrt(kept[step] / (1 - kept[step])) * rest).reshape(SHAPE)

        return denoise

    def gain(self, variance: float) -> np.ndarray:
        """K with E[x | x + noise] = mean + K (x + noise - mean)."""
        return np.linalg.solve(self.cov + variance * np.eye(N), self.cov).T


def gaussian(seed: int = 0) -> Gaussian:
    """One whose pixels depend on each other."""
    rng = np.random.default_rng(seed)
    root = 0.4 * rng.normal(size=(N, N)) / np.sqrt(N) + 0.15 * np.eye(N)
    return Gaussian(0.2 * rng.normal(size=N), root @ root.T)


def chain_of(sigmas) -> diffusion.Chain:
    """A chain that visits these deviations of noise."""
    kept = 1 / (1 + np.asarray(sigmas, np.float64) ** 2)
    return diffusion.Chain(
        np.arange(len(kept), dtype=np.int32)[::-1].copy(), kept.astype(np.float32)
    )


def sigmas_of(chain: diffusion.Chain) -> np.ndarray:
    kept = np.float64(chain.kept)
    return np.sqrt((1 - kept) / kept)


class Moments(NamedTuple):
    """What a sampler makes: its mean, how it depends on the photo, and its covariance."""

    mean: np.ndarray
    by_y: np.ndarray
    cov: np.ndarray


def moments(sampler, y: np.ndarray, draws: int) -> Moments:
    """Of sampler(y, draws [n, *SHAPE]), which is affine in both."""
    none = jnp.zeros((draws, *SHAPE))

    @jax.jit
    def all_of(y):
        mean = sampler(y, none)
        by_y = jax.jacrev(sampler, 0)(y, none).reshape(N, -1)
        by_draws = jax.jacrev(sampler, 1)(y, none).reshape(N, -1)
        return mean.reshape(-1), by_y, jnp.matmul(by_draws, by_draws.T, precision="highest")

    return Moments(*(np.asarray(found) for found in all_of(jnp.asarray(y, jnp.float32))))


def dense(operator) -> np.ndarray:
    basis = jnp.eye(N).reshape(-1, *SHAPE)
    return np.asarray(jax.vmap(operator.apply)(basis), np.float64).reshape(N, -1).T


def slow_ddrm(prior, operator, chain, y, *, noise, eta, eta_b) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of DDRM's sample, direction by direction as the paper writes it."""
    u, s, vt = np.linalg.svd(dense(operator))
    s = np.append(s, np.zeros(N - len(s)))
    told = np.append(u.T @ np.ravel(y), np.zeros(max(0, N - u.shape[0])))[:N]
    centre, cov = vt @ prior.mean, vt @ prior.cov @ vt.T
    own, sigmas = Gaussian(centre, cov), sigmas_of(chain)
    mean, spread = np.zeros(N), np.zeros(N)
    for i in range(N):
        if s[i] > 1e-6 and s[i] * sigmas[0] > noise:
            mean[i], spread[i] = told[i] / s[i], sigmas[0] ** 2 - (noise / s[i]) ** 2
        else:
            spread[i] = sigmas[0] ** 2
    spread = np.diag(spread)
    for sigma, following in zip(sigmas[:-1], sigmas[1:], strict=True):
        guess = own.gain(sigma**2)  # of x, beside (I - guess) centre
        error = (np.eye(N) - guess) / sigma
        matrix, shift, fresh = np.zeros((N, N)), np.zeros(N), np.zeros(N)
        for i in range(N):
            if s[i] <= 1e-6:
                row, add, own_share = np.sqrt(1 - eta**2) * following, 0.0, 1.0
                matrix[i] = guess[i] + row * error[i]
                shift[i] = ((np.eye(N) - guess) @ centre)[i] - row * (error @ centre)[i]
                fresh[i] = eta * following
                continue
            limit = noise / s[i]
            if following < limit:
                add = np.sqrt(1 - eta**2) * following / limit
                own_share, fresh[i] = 1 - add, eta * following
            else:
                add, own_share = eta_b, 1 - eta_b
                fresh[i] = np.sqrt(following**2 - (eta_b * limit) ** 2)
            matrix[i] = own_share * guess[i]
            shift[i] = own_share * ((np.eye(N) - guess) @ centre)[i] + add * told[i] / s[i]
        mean = matrix @ mean + shift
        spread = matrix @ spread @ matrix.T + np.diag(fresh**2)
    guess = own.gain(sigmas[-1] ** 2)
    mean = guess @ mean + (np.eye(N) - guess) @ centre
    return vt.T @ mean, vt.T @ (guess @ spread @ guess.T) @ vt


def slow_ddnm(prior, operator, chain, y, *, noise, eta) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of DDNM's sample; with noise, of the variant that ours computes."""
    matrix, y, one = dense(operator), np.ravel(y), np.eye(N)
    sigmas = sigmas_of(chain)
    mean, spread = np.zeros(N), one * (1 + sigmas[0] ** 2)
    for sigma, following in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        guess = prior.gain(sigma**2)
        centre = (one - guess) @ prior.mean
        if noise and following:
            gram = matrix @ matrix.T + 0.5 * (noise / following) ** 2 * np.eye(len(matrix))
            inverse = matrix.T @ np.linalg.inv(gram)
        else:
            inverse = np.zeros_like(matrix.T) if noise else np.linalg.pinv(matrix)
        seen = inverse @ matrix
        unseen = one - np.linalg.pinv(matrix) @ matrix if noise else one
        error = np.sqrt(1 - eta**2) * following * unseen @ (one - guess) / sigma
        step = (one - seen) @ guess + error
        mean = step @ mean + (one - seen) @ centre - error @ prior.mean + inverse @ y
        fresh = eta * unseen + (one - seen) @ (one - unseen)
        spread = step @ spread @ step.T + following**2 * fresh @ fresh.T
        spread += bool(noise) * following**2 * seen @ seen.T
    return mean, spread
