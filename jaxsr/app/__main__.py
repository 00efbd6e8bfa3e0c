"""Serves a page on which photos are restored, on this machine alone:

pip install ".[app]"
python -m jaxsr.app  # then open the address that it prints
python -m jaxsr.app --prior=runs/mine/prior --port=7861
"""

import dataclasses

from jaxsr import flags


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is served, and where.

    Attributes:
        prior: A bundled prior's name, or a folder written by training or ports/convert.py. Default:
            the best bundled one.
        host: Whose requests are answered: 127.0.0.1 those of this machine, 0.0.0.0 everybody's who
            can reach it.
        port: Of the address.
        smoke: A few steps of each search, to see that everything runs.
    """

    prior: str | None = None
    host: str = "127.0.0.1"
    port: int = 7860
    smoke: bool = False


def main(settings: Settings) -> None:
    """Serves until it is interrupted. Raises ValueError without gradio, or for what is no prior."""
    try:
        from jaxsr.app import page
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ValueError('the page needs gradio: pip install "jaxsr-gan[app]"') from error
    from jaxsr.app.restoring import Restorer

    flags.require(settings, {"port": 0}, ("prior", "host"))
    flags.cache_compilations()
    served = page.build(Restorer(settings.prior, smoke=settings.smoke))
    served.launch(server_name=settings.host, server_port=settings.port, theme=page.theme())


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
