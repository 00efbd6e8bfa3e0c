"""Official checkpoints of other projects -> weights folders of jaxsr, read without torch, TensorFlow or executing anything in a file."""
