"""Maths: boxes, likelihood, losses and their optima, as plain functions of tensors."""
