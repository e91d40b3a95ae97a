"""Train: a training that can stop at any moment, one step of it again, and pretraining."""
