"""`python -m p2s`, as torchrun starts it, is `p2s`, said by one rank for all."""

import os
from contextlib import nullcontext, redirect_stderr, redirect_stdout

from p2s.cli.main import main

# torchrun's ranks find the same mistakes; one that dies alone is heard, see p2s.train.processes.
silent = "TORCHELASTIC_RUN_ID" in os.environ and os.environ["RANK"] != "0"
with (
    open(os.devnull, "w") as nowhere,
    redirect_stdout(nowhere) if silent else nullcontext(),
    redirect_stderr(nowhere) if silent else nullcontext(),
):
    main(prog_name="p2s")
