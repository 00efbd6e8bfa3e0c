"""What `calibrate.py` is made of."""
