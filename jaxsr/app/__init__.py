"""The page in a browser on which a photo is dropped, looked at and restored: `python -m jaxsr.app`.

`photos` brings a file to a size that the prior restores, `restoring` restores it and keeps what was
compiled, `page` is what a person sees. It needs the extra "app" (gradio).
"""

from jaxsr.app.photos import Prepared, prepare
from jaxsr.app.restoring import Restored, Restorer

__all__ = ["Prepared", "Restored", "Restorer", "prepare"]
