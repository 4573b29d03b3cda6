"""How callers prove who they are, as OpenAPI describes it; `src.guards.CallerKey` is what checks it."""

from fastapi import Security
from fastapi.security import HTTPBearer

_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="The value of APP_API_KEY. Where that is not set, no key is needed.")
SECURED = [Security(_BEARER)]
"""The dependencies of a router whose routes want the key."""
SECURED_PREFIXES = ("/messages", "/instances")
