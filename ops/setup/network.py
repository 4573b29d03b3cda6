"""Whether a server can be reached from this machine."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def reachable(urls: Collection[str], seconds: float) -> dict[str, bool]:
    """Ask all URLs at once; one that has not answered as its service would, after `seconds`, counts as unreachable.

    A success or "401 Unauthorized" (a container registry's greeting) counts. Anything else does not: a firewall's own
    error page would otherwise pass for the service. Threads, because a name look-up knows no time limit.
    """
    answers = dict.fromkeys(urls, False)

    def ask(url: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds):  # noqa: S310  constant https URLs
                answers[url] = True
        except urllib.error.HTTPError as error:
            answers[url] = error.code == 401
        except (OSError, ValueError):
            pass

    threads = [threading.Thread(target=ask, args=(url,), daemon=True) for url in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    return dict(answers)
