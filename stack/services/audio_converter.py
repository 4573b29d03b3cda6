"""`audio-converter`: turns what a user recorded into WhatsApp's voice messages."""

from stack.context import Context
from stack.service import Service
from stack.spec import Limits, Probe, ServiceSpec
from stack.vocabulary import ServiceName


class AudioConverter(Service):
    """The audio converter.

    Attributes:
        url: where to send audio, path included, once it is ready.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(spec(context), context.host)
        self.url = self.endpoint(f"http://{ServiceName.AUDIO_CONVERTER}:{context.settings.audio_converter_port}/process-audio")


def spec(context: Context) -> ServiceSpec:
    """The spec of the audio converter."""
    settings = context.settings
    # It has no health route; a request without a key is answered by 401. With one, its log would have the key: it writes down all headers.
    # wget is all the image has.
    url = f"http://127.0.0.1:{settings.audio_converter_port}/process-audio"
    probe = f"wget -O /dev/null --post-data '' {url} 2>&1 | grep -q ' 401 '"
    return ServiceSpec(
        name=ServiceName.AUDIO_CONVERTER,
        image=context.images.of(ServiceName.AUDIO_CONVERTER),
        # The image reads its key from the environment only.
        environment={"PORT": str(settings.audio_converter_port), "API_KEY": context.credentials.audio_converter_key},
        probe=Probe(("CMD-SHELL", probe), limit=60, timeout=5),
        limits=Limits(settings.audio_converter_memory_mb, settings.audio_converter_cpus),
    )
