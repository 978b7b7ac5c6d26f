"""Pure algorithms on Polars frames: no I/O, no clocks, no orchestration; contracts are all that they import of ours."""
