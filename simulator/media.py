"""The bucket for media in MinIO, which anybody may read: 2.2.3 makes it so at every start, and it can't be switched off."""

import asyncio
import io
import ipaddress
import json
from datetime import timedelta
from functools import cached_property

from minio import Minio
from minio.error import MinioException
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from simulator.journal import Journal
from simulator.settings import S3, StartRefusedError

READABLE_FOR = timedelta(days=7)
"""How long a presigned URL is good, the most that S3 allows. (The bucket is open to readers anyway.)"""

_PREFIX = "evolution-api/"
_OWN_METADATA = {"custom-header-application": "evolution-api"}
_FORBIDDEN_IN_HOST = set("`~!@#$%^&*()+={}[]|\\\"';:><?/")
_LAST_PORT = 65535


def check_endpoint(settings: S3) -> None:
    """Refuse what minio-js refuses at import: anything but a bare host and a port.

    Raises:
        StartRefusedError: the endpoint has a scheme, a port or another forbidden character, or the port is no port.
    """
    if not _is_host(settings.endpoint):
        hint = "S3_ENDPOINT is a host only; scheme and port go into S3_USE_SSL and S3_PORT"
        raise StartRefusedError(f"InvalidEndpointError: Invalid endPoint : {settings.endpoint} ({hint})")
    if settings.port is None or not 0 <= settings.port <= _LAST_PORT:
        raise StartRefusedError(f"InvalidArgumentError: Invalid port : {'NaN' if settings.port is None else settings.port} (S3_PORT)")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return 0 < len(host) <= 255 and host[0] not in "-_." and host[-1] not in "-_" and not _FORBIDDEN_IN_HOST & set(host)
    return True


class Media:
    """The bucket. Without S3_ENABLED it does nothing."""

    def __init__(self, settings: S3, journal: Journal) -> None:
        self._settings = settings
        self._journal = journal.named("S3 Service")
        if settings.enabled:
            check_endpoint(settings)

    @property
    def enabled(self) -> bool:
        """Whether media go there at all."""
        return self._settings.enabled

    async def put(self, key: str, content: bytes, mimetype: str) -> str | None:
        """Upload a file and give the URL at which it can be read.

        A failed upload is logged and nothing more: the URL then leads to nothing. None when no URL can be made.
        """
        try:
            await asyncio.to_thread(self._upload, _PREFIX + key, content, mimetype)
        except Exception as error:  # noqa: BLE001  (whatever it is, 2.2.3 logs it and goes on)
            self._journal.error(f"{type(error).__name__}: {error}")
        return await self.url(key)

    async def url(self, key: str, expires: timedelta = READABLE_FOR) -> str | None:
        """Give the URL at which a file can be read."""
        try:
            return await asyncio.to_thread(self._client.presigned_get_object, self._settings.bucket, _PREFIX + key, expires)
        except Exception as error:  # noqa: BLE001
            self._journal.error(f"Error on upload file to minio: {error}")
            return None

    def _upload(self, name: str, content: bytes, mimetype: str) -> None:
        metadata: dict[str, str | list[str] | tuple[str]] = dict(_OWN_METADATA)
        self._client.put_object(self._settings.bucket, name, io.BytesIO(content), len(content), mimetype, metadata)

    async def prepare(self) -> None:
        """Make the bucket and open it to readers, once; a failure is logged, and nothing is tried again."""
        if not self._settings.enabled:
            return
        try:
            await asyncio.to_thread(self._make_bucket)
        except Exception as error:  # noqa: BLE001  (whatever it is, 2.2.3 logs it and runs on without a bucket)
            self._journal.error("S3 ERROR:")
            self._journal.error(f"{type(error).__name__}: {error}")
        else:
            self._journal.info(f"S3 Bucket {self._settings.bucket} - ON")

    def _make_bucket(self) -> None:
        client, bucket = self._client, self._settings.bucket
        if not self._exists(client):
            client.make_bucket(bucket)
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [f"arn:aws:s3:::{bucket}/*"]}
        client.set_bucket_policy(bucket, json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    def _exists(self, client: Minio) -> bool:
        """Look through the list, as 2.2.3 does; where that fails, making the bucket fails too, and tells why."""
        try:
            return any(bucket.name == self._settings.bucket for bucket in client.list_buckets())
        except (MinioException, HTTPError):
            return False

    @cached_property
    def _client(self) -> Minio:
        settings = self._settings
        return Minio(
            f"{settings.endpoint}:{settings.port}",
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            secure=settings.use_ssl,
            region=settings.region or None,
            http_client=PoolManager(timeout=Timeout(connect=5, read=30), retries=False),
        )
