"""Class-conditional StyleGAN2-ADA -> the unconditional network of one class.

For a fixed label the label's part of the first mapping layer is a constant, which its bias takes
up, and the discriminator's projection is a fixed sum of its outputs: the folded network computes
what the conditional one does for that label, exactly.
"""

import contextlib

import numpy as np

from ports.tables import few

SQRT2 = float(np.sqrt(2))


def fold(
    arrays: dict[str, np.ndarray], label: int | None, mapping_lr: float
) -> dict[str, np.ndarray]:
    """`arrays` by path without "label/...", for class `label`; as they are if nothing is
    conditional and no label is given.

    Raises:
        ValueError: a label is missing, out of range or given for an unconditional network, or
            arrays of the condition are missing or do not fit.
    """
    classes = len(arrays["label/embed/kernel"]) if "label/embed/kernel" in arrays else 0
    if not classes and label is None:
        return arrays
    if label is None or not 0 <= label < classes:
        expected = (
            f"--label=0 to {classes - 1} for a class-conditional network"
            if classes
            else "no --label for a network without classes"
        )
        raise ValueError(f"expected {expected}, got {'none' if label is None else label}")
    try:
        return _folded(arrays, label, mapping_lr)
    except (KeyError, ValueError) as error:
        given = few(path for path in arrays if path.startswith("label/"))
        raise ValueError(
            f"expected the arrays of a class-conditional StyleGAN2-ADA, got {given}, which do "
            f"not fit ({error})"
        ) from error


def _folded(arrays: dict[str, np.ndarray], label: int, lr: float) -> dict[str, np.ndarray]:
    folded = {path: array for path, array in arrays.items() if not path.startswith("label/")}
    kernel, embedded = arrays["mapping/fc0/kernel"], _embedded(arrays, "label/embed", label)
    inputs, z_dim = len(kernel), len(kernel) - len(embedded)
    # The layer scales its kernel by lr / sqrt(inputs), with the z's alone as inputs from now on;
    # its bias by lr.
    folded["mapping/fc0/kernel"] = kernel[:z_dim] * np.float32(np.sqrt(z_dim / inputs))
    folded["mapping/fc0/bias"] = arrays["mapping/fc0/bias"] + embedded @ kernel[
        z_dim:
    ] / np.float32(np.sqrt(inputs))
    if "label/discriminator/embed/kernel" in arrays:
        # One that does not fit stays as it is: the discriminator, not the generator, is left out.
        with contextlib.suppress(KeyError, ValueError):
            folded |= _projected(arrays, _projection(arrays, label, lr))
    return folded


def _projected(arrays: dict[str, np.ndarray], projection: np.ndarray) -> dict[str, np.ndarray]:
    """The discriminator's last layer for one class."""
    return {
        path: (arrays[path] @ projection)[..., None]
        for path in (f"discriminator/out/{name}" for name in ("kernel", "bias"))
    }


def _embedded(arrays: dict[str, np.ndarray], path: str, label: int) -> np.ndarray:
    kernel = arrays[path + "/kernel"]
    x = kernel[label] / np.float32(np.sqrt(len(kernel))) + arrays[path + "/bias"]
    return x / np.sqrt(np.mean(x**2) + 1e-8)


def _projection(arrays: dict[str, np.ndarray], label: int, lr: float) -> np.ndarray:
    x = _embedded(arrays, "label/discriminator/embed", label)
    layers = sum(
        path.startswith("label/discriminator/fc") and path.endswith("/kernel") for path in arrays
    )
    for i in range(layers):
        kernel, bias = (arrays[f"label/discriminator/fc{i}/{name}"] for name in ("kernel", "bias"))
        x = x @ kernel * np.float32(lr / np.sqrt(len(x))) + bias * np.float32(lr)
        x = np.where(x > 0, x, 0.2 * x) * SQRT2
    return x / np.float32(np.sqrt(len(x)))
