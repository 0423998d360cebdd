"""What holds for all tests."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it puts into the background so. The programs under test must hear Ctrl-C all the same, and
    # SIGTERM too: Dagster gives it the handler of SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
