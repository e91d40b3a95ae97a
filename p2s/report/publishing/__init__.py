"""Publishing: the rendered report as git keeps it, in docs/report."""
