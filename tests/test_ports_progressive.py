"""Files of StyleGAN1 and PGGAN that do not fit are refused in one line."""

import functools

import numpy as np
import ports_files as files
import ports_pggan
import ports_stylegan1
import pytest

from ports import formats, priors
from ports.convert import convert


def changed(draw, write, change=lambda g, d: None, **settings):
    networks = draw()
    change(*networks)
    return [write(networks, **settings)]


styled = functools.partial(changed, ports_stylegan1.stylegan1, ports_stylegan1.stylegan1_pickle)
grown = functools.partial(changed, ports_pggan.pggan, ports_pggan.pggan_pickle)


def nine(name):
    return lambda g, d: g.update({name: np.zeros(9, np.float32)})


def without(write, *names):
    content = write(ports_pggan.pggan(fused=False)[0])
    return [files.zipped({name: x for name, x in content.items() if not name.startswith(names)})]


REFUSED = {
    "StyleGAN1 growing": (lambda: styled(lod=1.0), r"of the wrong shape or value: Gs/lod"),
    "PGGAN growing": (lambda: grown(lod=1.0), r"of the wrong shape or value: Gs/lod"),
    "StyleGAN1 conditional": (
        lambda: styled(settings={"label_size": 10}),
        "expected a StyleGAN1 with label_size 0",
    ),
    "PGGAN conditional": (
        lambda: grown(settings={"label_size": 10}),
        "expected a PGGAN with label_size 0",
    ),
    "pixel norm": (
        lambda: styled(settings={"use_pixel_norm": True}),
        "expected a StyleGAN1 with use_pixel_norm False",
    ),
    "no pixel norm": (
        lambda: grown(settings={"use_pixelnorm": False}),
        "expected a PGGAN with use_pixelnorm True",
    ),
    "other pixel norm": (
        lambda: grown(settings={"pixelnorm_epsilon": 1e-4}),
        "expected a PGGAN with pixelnorm_epsilon",
    ),
    "no blur": (
        lambda: styled(settings={"blur_filter": None}),
        "expected a StyleGAN1 with blur_filter",
    ),
    "strange fusing": (
        lambda: styled(settings={"fused_scale": "often"}),
        "expected fused_scale of a StyleGAN1 as True, False or 'auto'",
    ),
    "no groups": (
        lambda: styled(d_settings={"mbstd_group_size": 0}),
        "expected mbstd_group_size as a positive number",
    ),
    "StyleGAN1 layer missing": (
        lambda: styled(lambda g, d: g.pop("synthesis/8x8/Conv1/weight")),
        "with blocks 4, 8, 16, ... px",
    ),
    "StyleGAN1 bias missing": (
        lambda: styled(lambda g, d: g.pop("synthesis/8x8/Conv1/bias")),
        "missing: synthesis/b8/epilogue1/bias",
    ),
    "noise map missing": (
        lambda: styled(lambda g, d: g.pop("synthesis/noise5")),
        "missing: noise/5",
    ),
    "StyleGAN1 shape": (
        lambda: styled(nine("synthesis/8x8/Conv1/bias")),
        r"value: synthesis/b8/epilogue1/bias \[9\] instead of \[8\]",
    ),
    "PGGAN shape": (
        lambda: grown(nine("16x16/Conv1/bias")),
        r"value: generator/layer5/bias \[9\] instead of \[6\]",
    ),
    "PGGAN layer missing": (
        lambda: grown(lambda g, d: g.pop("16x16/Conv1/weight")),
        "with two layers a resolution, got 5",
    ),
    "PGGAN colours missing": (
        lambda: grown(lambda g, d: g.pop("ToRGB_lod0/bias")),
        "missing: generator/torgb/bias",
    ),
    "left over": (lambda: grown(nine("8x8/Conv2/bias")), "left over: Gs/8x8/Conv2/bias"),
    "odd layers": (
        lambda: without(ports_pggan.genforce, "layer5"),
        "with two layers a resolution, got 5",
    ),
    "no layers": (
        lambda: without(ports_pggan.ptrblck, "features.1."),
        "with two layers a resolution, got 1",
    ),
    "PULSE without mapping": (
        lambda: [files.zipped(ports_stylegan1.pulse(ports_stylegan1.stylegan1()[0])[0])],
        r"mapping\.pt",
    ),
    "PULSE's mapping alone": (
        lambda: [files.zipped(ports_stylegan1.pulse(ports_stylegan1.stylegan1()[0])[1])],
        "dict with 6 names: dense0.weight",
    ),
    "two networks": (
        lambda: grown() + styled(),
        f"expected a checkpoint of {', '.join(formats.PORTS)}; got",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(name, tmp_path):
    contents, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        convert(*files.write(tmp_path, contents()))
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("contents", [styled, grown])
@pytest.mark.parametrize("choice", [priors.Choice(label=1), priors.Choice(truncation=0.5)])
def test_a_choice_of_a_class_is_refused(contents, choice, tmp_path):
    """These networks have no classes: a label that is silently ignored would promise one."""
    with pytest.raises(
        ValueError, match=r"expected no --(label|truncation) for a network without classes"
    ):
        convert(*files.write(tmp_path, contents()), choice=choice)


@pytest.mark.parametrize("contents", [styled, grown])
def test_a_discriminator_that_does_not_fit_is_left_out_and_told(contents, tmp_path):
    """A generator that restores without one is refused for it, or nobody hears that it is gone."""
    files_of = contents(lambda g, d: d.pop("8x8/Conv0/bias"))
    params, config = convert(*files.write(tmp_path, files_of))
    assert "discriminator" not in params and config["discriminator"] is False
    assert "missing: discriminator/b8/conv0/bias" in config["notes"][0]
    params, config = convert(*files.write(tmp_path, contents(d_settings={"label_size": 10})))
    assert "discriminator" not in params and "label_size" in config["notes"][0]
