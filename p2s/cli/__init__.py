"""The `p2s` command."""
