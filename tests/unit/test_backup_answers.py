"""What MinIO and RabbitMQ say over HTTP, and what is said to them."""

import hashlib
import http.client
from collections.abc import Callable
from unittest.mock import Mock

import pytest

from ops.backup import rabbitmq, s3
from ops.backup.amqp import Login
from ops.backup.inside import InsideError
from ops.backup.rabbitmq import Rabbitmq
from ops.backup.s3 import S3
from ops.backup.services import Place

BROKEN_OFF = Mock(status=200, read=Mock(side_effect=http.client.IncompleteRead(b"half")), headers={"content-length": "9"})


class Web:
    """Stands for a server that ends in the midst of each answer."""

    def __init__(self, *_: object) -> None:
        pass

    def ask(self, *_: object) -> Mock:
        return BROKEN_OFF

    def close(self) -> None:
        pass


@pytest.mark.parametrize("ask", [S3.buckets, lambda minio: minio.setting("b", "policy"), lambda minio: minio.put("b", "k", {}, "", 0, [])])
def test_a_minio_that_ends_in_the_midst_of_an_answer_is_said_to(monkeypatch: pytest.MonkeyPatch, ask: Callable[[S3], object]) -> None:
    monkeypatch.setattr(s3, "Web", Web)
    minio = S3(Mock(), Place("minio", {"MINIO_ROOT_USER": "u", "MINIO_ROOT_PASSWORD": "p"}))
    with pytest.raises(InsideError, match="broke off"):
        ask(minio)


def test_a_rabbitmq_that_ends_in_the_midst_of_an_answer_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "Web", Web)
    with pytest.raises(InsideError, match="broke off"):
        Rabbitmq(Mock(), Place("rabbitmq", {}), Login("u", "p")).version()


def test_a_rabbitmq_that_answers_in_another_language_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rabbitmq, "_request", lambda *_: b"<html>Not now</html>")
    with pytest.raises(InsideError, match="can't be read"):
        Rabbitmq(Mock(), Place("rabbitmq", {}), Login("u", "p")).version()


@pytest.mark.parametrize("text", ["voilà", "à", "plain", "…"])
def test_an_objects_metadata_goes_back_to_its_last_byte(text: str) -> None:
    as_read = text.encode().decode("latin-1")
    sent = s3._signed(s3.Login("u", "p"), "PUT", "/b/k", "", {"x-amz-meta-text": f" {as_read}\t"}, hashlib.sha256(b"").hexdigest())
    assert sent["x-amz-meta-text"] == as_read
