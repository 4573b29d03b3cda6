"""Images that end as soon as they are started, each made from a service's own."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from docker.errors import ImageNotFound

from tests.e2e.environment import Stack

LAST_WORDS = "the fault suite ends this program"
_SCRIPT = f"#!/bin/sh\necho '{LAST_WORDS}' >&2\nexit 3\n"
# The databases' own entrypoint hands over to docker-entrypoint.sh, which is looked for in /usr/local/sbin first.
_DOCKERFILE = 'FROM {image}\nCOPY end /usr/local/sbin/docker-entrypoint.sh\nENTRYPOINT ["/usr/local/sbin/docker-entrypoint.sh"]\n'


@contextmanager
def crashing_image(stack: Stack, service: str) -> Iterator[str]:
    """The reference of an image of a service that ends at its start."""
    reference = f"{stack.project}/crashing-{service.replace('_', '-')}:1"
    image = stack.container(service).attributes["Image"]
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, content, mode in (("Dockerfile", _DOCKERFILE.format(image=image), 0o644), ("end", _SCRIPT, 0o755)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content.encode()))
    context.seek(0)
    stack.client.images.build(fileobj=context, custom_context=True, tag=reference, rm=True)
    try:
        yield reference
    finally:
        with suppress(ImageNotFound):
            stack.client.api.remove_image(reference, force=True)
