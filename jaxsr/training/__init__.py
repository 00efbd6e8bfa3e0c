"""Training: pure train steps and resumable loops."""
