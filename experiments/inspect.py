"""Looks at photos before they are restored, and proposes a command line for each.

    python experiments/inspect.py --input=photos
    # also writes OUT/inspections.csv and OUT/inspections.json, with every number
    python experiments/inspect.py --input=photos --prior=runs/gan/prior --out=inspected

A row a photo: its size and bits, what its file tells (format, JPEG quality from its tables, about
where they are no library's, and how its chroma was sampled), noise and JPEG's error as standard
deviations of 255, what speaks against restoring it as it is, and the settings proposed: the
enlargement that fits the prior, the residual that counts as explained (eps: noise, rounding, JPEG
and a kernel that is not known), and what to do first where it was enlarged before. Of a large photo
the middle 256 x 256 px tell of all; below 16 px next to nothing but noise is told.

What no photo tells: which antialiased kernel made it small (they differ by a mean square of 1e-4),
its noise once it was compressed, a JPEG that was resized afterwards. A smooth photo may pass for an
enlarged one, and one of rough texture for one made small without antialiasing: you decide.

The exit status is 0 when every photo was read, 3 when some were not, 2 when none was.
"""

import sys

if __name__ == "__main__":
    from inspection.options import Settings
    from inspection.run import main

    from jaxsr import flags

    read_settings = flags.define(Settings())
    flags.short({"i": "input", "o": "out"})
    flags.run(lambda: main(read_settings()))
else:
    # Python looks for modules in the folder of the command first, so that whatever a command here
    # imports would find this file where it wants the standard library's module of the same name.
    import importlib.machinery
    import importlib.util
    import os

    here = os.path.dirname(os.path.realpath(__file__))
    elsewhere = [path for path in sys.path if os.path.realpath(path or os.curdir) != here]
    spec = importlib.machinery.PathFinder.find_spec(__name__, elsewhere)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected the standard library's module {__name__}, found none")
    sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
