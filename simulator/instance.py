"""One instance, as it is in memory."""

from dataclasses import dataclass, field
from typing import Literal

from simulator.preferences import Target
from simulator.qr import Code

BAILEYS = "WHATSAPP-BAILEYS"
BUSINESS = "WHATSAPP-BUSINESS"
INTEGRATIONS = (BAILEYS, BUSINESS, "EVOLUTION")

State = Literal["open", "close", "connecting"]


@dataclass(eq=False)
class Instance:
    """An instance in memory.

    `wuid` is the JID of the phone that was paired last; `paired` whether it still is; `offline` whether WhatsApp can't be reached;
    `has_client` whether it ever tried to connect since the process began: some failures name what is undefined without that.
    `sessions` are the numbers whose keys are known to be kept.
    `attempt` counts its tries to connect: whatever belongs to an older one is void.
    """

    id: str
    name: str
    integration: str
    token: str
    number: str | None
    state: State
    wuid: str | None = None
    profile_name: str | None = None
    paired: bool = False
    offline: bool = False
    has_client: bool = False
    attempt: int = 0
    sessions: set[str] = field(default_factory=set)
    code: Code = field(default_factory=Code)
    targets: dict[str, Target] = field(default_factory=dict)
