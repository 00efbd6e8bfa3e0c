"""What `explore.py` and `explore_benchmark.py` are made of."""
