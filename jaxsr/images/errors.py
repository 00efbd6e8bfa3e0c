"""The error of everything that has to do with image files."""


class ImageError(ValueError):
    """A file or an array that is not the image it should be; the message is one line: which, what
    was expected, what came."""
