"""What a person sees: a photo dropped, what its file tells, the result beside it, its other
solutions, in what they differ, and files to take home."""

import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from jaxsr import images
from jaxsr.app.photos import Prepared, factors_of, look, prepare
from jaxsr.app.restoring import Restored, Restorer
from jaxsr.methods.auto import AUTO

SHOWN = 512  # px, the side that small pictures are shown at, their pixels repeated
MOST_SOLUTIONS = 16
WARNING = (
    "**What is new in a result is a guess, never measured.** It is what {name} can draw"
    "{domain}: never diagnose, identify or prove anything by it. Nothing leaves this machine."
)
# The page is served without asking any other host for fonts.
FONTS = ("system-ui", "sans-serif")


def build(restorer: Restorer) -> gr.Blocks:
    """The page, to be launched."""
    with gr.Blocks(title="jaxsr", analytics_enabled=False) as page:
        gr.Markdown(f"# jaxsr\n{_warning(restorer)}")
        with gr.Row():
            with gr.Column(scale=1):
                file = gr.File(label="Photo", type="filepath", elem_id="photo")
                verdict = gr.Markdown(elem_id="verdict")
                seen = _picture("What is restored", "seen", visible=True)
                factors = [AUTO, *map(str, factors_of(restorer.side))]
                factor = gr.Dropdown(factors, value=AUTO, label="Enlargement", elem_id="factor")
                settings = [factor, *_settings(restorer)]
                button = gr.Button("Restore", variant="primary", elem_id="restore")
            with gr.Column(scale=2):
                slider = gr.ImageSlider(label="bicubic | restored", elem_id="slider")
                told = gr.Markdown(elem_id="told")
                gallery = gr.Gallery(
                    label="Solutions", columns=4, visible=False, elem_id="solutions"
                )
                spread = _picture("How far they differ (not calibrated)", "spread", visible=False)
                files = gr.File(label="Download", file_count="multiple", elem_id="files")
        for event in (file.change, factor.change):
            event(_one_line(functools.partial(_look, restorer)), [file, factor], [verdict, seen])
        button.click(
            _one_line(functools.partial(_restore, restorer)),
            [file, *settings],
            [slider, told, gallery, spread, files],
        )
    return page


def _picture(label: str, name: str, *, visible: bool) -> gr.Image:
    """A picture that can be saved; gradio's own button to share it would send it away."""
    buttons: list[Any] = ["download", "fullscreen"]
    return gr.Image(label=label, interactive=False, visible=visible, buttons=buttons, elem_id=name)


def theme() -> gr.themes.Base:
    """Colours and fonts."""
    return gr.themes.Default(font=FONTS, font_mono=("monospace",))


def _warning(restorer: Restorer) -> str:
    info = restorer.prior.info
    domain = f" ({info.domain})" if info.domain else ""
    return WARNING.format(name=info.name, domain=domain)


def _settings(restorer: Restorer) -> list[gr.components.Component]:
    """Method, number of solutions and seed."""
    return [
        gr.Dropdown(restorer.methods(), value=AUTO, label="Method", elem_id="method"),
        gr.Slider(1, MOST_SOLUTIONS, value=1, step=1, label="Solutions", elem_id="count"),
        gr.Number(0, precision=0, label="Seed", elem_id="seed"),
    ]


def _one_line(handler: Callable) -> Callable:
    """The handler, whose mistakes of the user's are told on the page in their one line."""

    @functools.wraps(handler)
    def told(*args: Any):
        try:
            return handler(*args)
        except (ValueError, OSError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    return told


def _look(restorer: Restorer, file: str | None, factor: str) -> tuple[str, np.ndarray | None]:
    """What is told of a photo, and what of it is going to be restored."""
    if file is None:
        return "", None
    photo = _prepared(restorer, file, factor)
    told = [*look(file), *photo.told]
    return "\n".join(f"- {line}" for line in told), _shown(photo.y)


def _prepared(restorer: Restorer, file: str, factor: str) -> Prepared:
    return prepare(file, restorer.side, None if factor == AUTO else int(factor))


def _restore(
    restorer: Restorer,
    file: str | None,
    factor: str,
    method: str,
    solutions: float,
    seed: float,
    progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008 (gradio finds it there)
) -> tuple:
    """What the right side of the page shows."""
    if file is None:
        raise ValueError("expected a photo: drop one first")
    if seed < 0:
        raise ValueError(f"seed: expected a whole number from 0 on, got {seed:g}")
    photo = _prepared(restorer, file, factor)
    found = restorer.restore(photo, method, solutions=int(solutions), seed=int(seed))
    pictures = [_shown(each) for each in found.images]
    spread = found.spread()
    return (
        (_shown(found.bicubic), pictures[0]),
        "\n".join(f"- {line}" for line in found.told),
        gr.update(
            value=[(each, f"solution {i + 1}") for i, each in enumerate(pictures)],
            visible=spread is not None,
        ),
        gr.update(
            value=None if spread is None else _shown(as_map(spread)), visible=spread is not None
        ),
        _written(found, Path(file).stem),
    )


def _shown(image: np.ndarray) -> np.ndarray:
    """uint8, small pictures enlarged by repeating their pixels."""
    times = max(1, SHOWN // len(image))
    return images.to_uint8(image).repeat(times, axis=0).repeat(times, axis=1)


def as_map(spread: np.ndarray) -> np.ndarray:
    """[h, w, 3] grey of [h, w], white where the solutions differ most."""
    return np.repeat((spread / max(float(spread.max()), 1e-6))[..., None], 3, axis=2)


def _written(found: Restored, stem: str) -> list[str]:
    """The results as files, named after the photo."""
    folder = Path(tempfile.mkdtemp(prefix="jaxsr_"))
    marks = images.Marks(json.dumps({"method": found.method}))
    many = len(found.images) > 1
    names = [f"{stem}_s{i}.png" if many else f"{stem}.png" for i in range(len(found.images))]
    for name, image in zip(names, found.images, strict=True):
        images.write(folder / name, image, marks=marks)
    spread = found.spread()
    if spread is not None:
        names.append(f"{stem}_spread.tif")
        Image.fromarray(spread.astype(np.float32)).save(folder / names[-1])
    return [str(folder / name) for name in names]
