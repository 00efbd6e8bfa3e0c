"""What `evaluate.py`, `judge_prior.py` and `disentangle.py` are made of."""
