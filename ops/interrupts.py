"""The signals by which a command is asked to stop: Ctrl-C, `kill`, a terminal that is closed."""

import signal

_ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> list[signal.Signals]:
    """Those that whoever began this did not have ignored, as `nohup` does."""
    return [number for number in _ASKED if signal.getsignal(number) is not signal.SIG_IGN]
