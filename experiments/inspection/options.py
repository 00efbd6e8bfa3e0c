"""What `inspect.py` is asked for: its flags."""

import dataclasses

from jaxsr import images


@dataclasses.dataclass(frozen=True)
class Settings(images.Reading):
    """What to look at.

    Attributes:
        input: Photos: a file, a folder or a quoted pattern; repeatable. Default: the prior's
            examples.
        prior: The prior that is to restore them, as super_resolve.py takes it. Default: the best
            bundled one.
        out: Folder for inspections.csv and inspections.json. Default: the table is only printed.
        progress: A progress bar on stderr.
    """

    input: tuple[str, ...] = ()
    prior: str | None = None
    out: str | None = None
    progress: bool = True
