"""Names of other people's classes in a pickle: which may stand for an object, and which are
refused.

A file of weights often holds what lay beside them: arguments with paths and dates, settings of
Lightning or OmegaConf, a network as a whole object. Nothing of it is needed, and nothing is called
or imported: every such object is its name and its state. What no honest file does, to call a
function or to name most of Python's own modules, is refused all the same, and named, since whoever
loads the file with something else would run it.
"""

import sys

# Of Python 2, which `sys.stdlib_module_names` does not list.
_OF_PYTHON = (sys.stdlib_module_names - {"__main__"}) | {
    "__builtin__",
    "cPickle",
    "commands",
    "copy_reg",
    "os2",
    "popen2",
    "StringIO",
    "exceptions",
}
_TORCH = ("torch.nn.", "torch.optim.", "torch.torch_version")


def is_class(module: str, name: str) -> bool:
    """Whether module.name may be the class of an inert object: a class, by its capitals, of a
    project or of torch's layers and optimisers."""
    return _is_other(module, name) and name != name.lower()


def is_function(module: str, name: str) -> bool:
    """Whether module.name may be a function that an object keeps, such as an activation."""
    return _is_other(module, name) and name == name.lower()


def _is_other(module: str, name: str) -> bool:
    """Whether a name belongs neither to Python nor to the parts of torch and NumPy that no object
    of a network needs."""
    top = module.partition(".")[0]
    if "." in name or top in _OF_PYTHON or top == "numpy":
        return False
    return top != "torch" or module.startswith(_TORCH)
