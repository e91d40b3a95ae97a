"""`python -m p2s`, as torchrun starts it, is `p2s`, said by one rank for all."""

import os
from contextlib import nullcontext, redirect_stderr, redirect_stdout

from p2s.cli.main import main
from p2s.cli.telling import is_first

# torchrun's ranks find the same mistakes; one that dies alone is heard, see p2s.train.processes.
with (
    open(os.devnull, "w") as nowhere,
    nullcontext() if is_first() else redirect_stdout(nowhere),
    nullcontext() if is_first() else redirect_stderr(nowhere),
):
    main(prog_name="p2s")
