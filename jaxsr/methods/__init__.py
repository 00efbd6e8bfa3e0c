"""Restoration methods: each a factory (prior, operator, config) -> solve, with solve(key, params,
y) -> Result for one image. METHODS has them by their names: command lines, help texts, tables,
benchmarks and tests derive from it.

A new method is

    1. its file here, with a frozen config and the factory, as in pulse.py
    2. its import and its row in this file: "mine": Method(mine, Mine, "what it does", "paper")
    3. its row in tests/method_cases.py, with its objective in slow NumPy

and every command, help text and benchmark sees it. Published ones have a line in README.md too.

The config has a preset "paper", which is the default; fields that count steps are made by
`iterates()`, so that --smoke shortens them; NEEDS names what else than a generator it takes of
params. Another key gives another result: a search that begins at a fixed point has a field
`init_spread`, which is set where several solutions are asked for. `jaxsr.settings.resolve(config,
operator)` makes all values explicit. `Result` says what a latent looks like.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from jaxsr.methods.brgm import BRGM, brgm
from jaxsr.methods.brgm_vi import BRGMVI, brgm_vi
from jaxsr.methods.brgm_vi import draw as draw
from jaxsr.methods.ddnm import DDNM, ddnm
from jaxsr.methods.ddrm import DDRM, ddrm
from jaxsr.methods.iagan import IAGAN, iagan
from jaxsr.methods.interpolation import Interpolation, bicubic, bilinear, nearest
from jaxsr.methods.learned import (
    Learned,
    esrgan,
    fsrnet_style,
    gfpgan,
    glean,
    gpen,
    laren,
    rrdb,
    srvgg,
    vdsr,
)
from jaxsr.methods.mganprior import MGANPrior, mganprior
from jaxsr.methods.phased import Phased, phased
from jaxsr.methods.projection import Consistency as Consistency
from jaxsr.methods.projection import consistent as consistent
from jaxsr.methods.projection import project as project
from jaxsr.methods.projection import trusted as trusted
from jaxsr.methods.pulse import PULSE, pulse
from jaxsr.methods.rls import RLS, rls
from jaxsr.methods.rls_plus import RLSPlus, rls_plus
from jaxsr.methods.rlse import RLSE, rlse
from jaxsr.metrics.perceptual import networks as networks
from jaxsr.search import Solve
from jaxsr.settings import MethodConfig


class Method(NamedTuple):
    """A row of METHODS.

    Attributes:
        make: (prior, operator, config) -> Solve.
        Config: class of its settings, with PRESETS and NEEDS, the entries of params beside the
            generator.
        summary: what it does, in a line.
        paper: where it is published; "" for common knowledge.
        any_prior: whether it takes a prior without a w space.
        kind: "search" iterates on each photo; "learned" takes one pass of a trained network;
            "diffusion" samples with a diffusion model in place of the generator; "interpolation"
            has no prior, and one result.
        compresses: whether it compresses what it compares with the photo, where params have the
            tables of the photo's JPEG (`jaxsr.standins`).
    """

    make: Callable[..., Solve]
    Config: type[MethodConfig]
    summary: str
    paper: str
    any_prior: bool = False
    kind: Literal["search", "learned", "diffusion", "interpolation"] = "search"
    compresses: bool = False


METHODS: dict[str, Method] = {
    "nearest": Method(
        nearest,
        Interpolation,
        "no prior: each pixel repeated",
        "",
        any_prior=True,
        kind="interpolation",
    ),
    "bilinear": Method(
        bilinear,
        Interpolation,
        "no prior: linear between pixels",
        "",
        any_prior=True,
        kind="interpolation",
    ),
    "bicubic": Method(
        bicubic,
        Interpolation,
        "no prior: what the others have to beat",
        "",
        any_prior=True,
        kind="interpolation",
    ),
    "pulse": Method(
        pulse,
        PULSE,
        "search on spheres of w+ and noise, or of z",
        "Menon et al., arXiv:2003.03808",
        any_prior=True,
    ),
    "brgm": Method(
        brgm,
        BRGM,
        "maximum a posteriori in w+, under a Gaussian",
        "Marinescu et al., arXiv:2012.04567",
    ),
    "brgm_vi": Method(
        brgm_vi,
        BRGMVI,
        "a Gaussian fitted to BRGM's posterior",
        "Marinescu et al., arXiv:2012.04567",
    ),
    "mganprior": Method(
        mganprior,
        MGANPrior,
        "several codes, composed inside the generator",
        "Gu et al., arXiv:1912.07116",
        any_prior=True,
    ),
    "iagan": Method(
        iagan,
        IAGAN,
        "z searched, then refined with the generator",
        "Hussein et al., arXiv:1906.05284",
        any_prior=True,
    ),
    "phased": Method(
        phased,
        Phased,
        "w, then w+, then every style",
        "Poirier-Ginter and Lalonde, arXiv:2302.06733",
        compresses=True,
    ),
    "rlse": Method(
        rlse, RLSE, "the discriminator guides, the generator is tuned", "Shi et al., ICASSP 2024"
    ),
    "rls": Method(
        rls,
        RLS,
        "a normalizing flow keeps w+ realistic",
        "Gheisari and Genovesio, arXiv:2311.16923",
    ),
    "rls_plus": Method(
        rls_plus,
        RLSPlus,
        "RLS, then refined with the generator",
        "Gheisari and Genovesio, arXiv:2311.16923",
    ),
    "glean": Method(
        glean,
        Learned,
        "encoder, generator as a bank of features, decoder",
        "Chan et al., arXiv:2012.00739",
        kind="learned",
    ),
    "laren": Method(
        laren,
        Learned,
        "codes disentangled by a graph, image-specific maps",
        "Zhang et al., arXiv:2208.02861",
        kind="learned",
    ),
    "gfpgan": Method(
        gfpgan,
        Learned,
        "a U-Net scales and shifts the generator's maps",
        "Wang et al., arXiv:2101.04061",
        kind="learned",
    ),
    "gpen": Method(
        gpen,
        Learned,
        "an encoder gives latent and noise, the generator is tuned",
        "Yang et al., arXiv:2105.06070",
        kind="learned",
    ),
    "vdsr": Method(
        vdsr,
        Learned,
        "convolutions that mend the bicubic enlargement",
        "Kim et al., arXiv:1511.04587",
        any_prior=True,
        kind="learned",
    ),
    "rrdb": Method(
        rrdb,
        Learned,
        "dense blocks, trained for the least error",
        "Wang et al., arXiv:1809.00219",
        any_prior=True,
        kind="learned",
    ),
    "srvgg": Method(
        srvgg,
        Learned,
        "a chain of convolutions, then one enlargement",
        "Wang et al., arXiv:2107.10833",
        any_prior=True,
        kind="learned",
    ),
    "esrgan": Method(
        esrgan,
        Learned,
        "the same blocks, trained against a discriminator",
        "Wang et al., arXiv:1809.00219",
        any_prior=True,
        kind="learned",
    ),
    "fsrnet_style": Method(
        fsrnet_style,
        Learned,
        "FSRNet-style, pseudo-parsing: a coarse image, classes of its colours",
        "Chen et al., arXiv:1711.10703",
        any_prior=True,
        kind="learned",
    ),
    "ddrm": Method(
        ddrm,
        DDRM,
        "a diffusion model, each singular direction by its noise",
        "Kawar et al., arXiv:2201.11793",
        any_prior=True,
        kind="diffusion",
    ),
    "ddnm": Method(
        ddnm,
        DDNM,
        "a diffusion model, which fills in what the photo leaves open",
        "Wang et al., arXiv:2212.00490",
        any_prior=True,
        kind="diffusion",
    ),
}
