"""Serves on PORT (8080 when it is unset, as the original does) until SIGTERM."""

import logging
import os

import uvicorn

from converter.web import application

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)  # its lines carry the URLs of the users' audio

uvicorn.run(
    application(os.environ.get("API_KEY", "")),
    host="0.0.0.0",  # noqa: S104 - in a container, reached from the others
    port=int(os.environ.get("PORT") or 8080),
    http="h11",
    loop="asyncio",
    ws="none",
    lifespan="off",
    access_log=False,
    server_header=False,
    log_level="warning",
    timeout_graceful_shutdown=5,
)
