"""Networks, one a file; each leaves its file as a `Prior` or as pure functions. Flax is imported nowhere else."""

from jaxsr.nets import stylegan2

# architecture in a prior's config.json -> (config, prior, parameters)
ARCHITECTURES = {"stylegan2": (stylegan2.Config, stylegan2.stylegan2, stylegan2.init)}
