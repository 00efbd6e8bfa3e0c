"""What `benchmark.py` measures, a file a kind of program."""
