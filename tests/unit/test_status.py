"""What `make status` and `make upgrade` show."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from docker.errors import ImageNotFound

from ops import status as subject
from ops.backup import marker
from ops.status import image_name
from tests.unit.backup_samples import Volumes
from tests.unit.test_doctor import seen

_ID = f"sha256:{'abcdef' * 10}"


def test_an_image_that_several_stacks_share_is_shown_by_the_stacks_own_name() -> None:
    client = Mock()
    client.images.get.return_value.tags = ["whatsapp-bench-app:1", "whatsapp-dev-app:1"]
    assert image_name(client, _ID, "whatsapp-dev") == "whatsapp-dev-app:1"
    assert image_name(client, _ID, "whatsapp-prod") == "whatsapp-bench-app:1"


def test_an_image_without_a_name_is_shown_by_the_beginning_of_its_id() -> None:
    client = Mock()
    client.images.get.return_value.tags = []
    assert image_name(client, _ID, "whatsapp-dev") == "abcdefabcdef"
    client.images.get.side_effect = ImageNotFound("it was removed")
    assert image_name(client, _ID, "whatsapp-dev") == "abcdefabcdef"


@pytest.mark.parametrize("as_json", [True, False])
def test_after_an_interrupted_restore_the_status_says_so_however_well_all_services_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    engine: Any = Volumes()
    monkeypatch.setattr(marker, "FOLDER", tmp_path)
    monkeypatch.setattr("ops.engine.connect", lambda: engine)
    monkeypatch.setattr(subject, "of_stack", lambda *_: [Mock(project="whatsapp-dev")])
    monkeypatch.setattr(subject, "look", lambda *_: [seen()])
    assert subject.status("dev", as_json, live=False) == 0
    assert capsys.readouterr().err == ""
    engine.names.add(marker.volume("whatsapp-dev"))
    assert subject.status("dev", as_json, live=False) == 1
    assert "A restore of stack dev was interrupted" in capsys.readouterr().err
