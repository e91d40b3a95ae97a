"""Figures: pictures of tables and records; a module a kind of experiment."""
