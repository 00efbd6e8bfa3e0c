"""Parts of `inspect.py`."""
