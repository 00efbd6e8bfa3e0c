"""Networks, one a file; each leaves its file as a `Prior` or as pure functions. Flax is imported nowhere else."""

from jaxsr.nets import biggan, pggan, stylegan1, stylegan2

# architecture in a prior's config.json -> (config, prior, parameters)
ARCHITECTURES = {
    "stylegan2": (stylegan2.Config, stylegan2.stylegan2, stylegan2.init),
    "stylegan1": (stylegan1.Config, stylegan1.stylegan1, stylegan1.init),
    "pggan": (pggan.Config, pggan.pggan, pggan.init),
    "biggan": (biggan.Config, biggan.biggan, biggan.init),
}
