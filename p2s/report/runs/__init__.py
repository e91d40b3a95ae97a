"""Runs: every record of a project, as a table and as a page to browse."""
