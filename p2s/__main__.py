"""`python -m p2s`, as torchrun starts it, is `p2s`."""

from p2s.cli.main import main

main(prog_name="p2s")
