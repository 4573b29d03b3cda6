"""What `make status` and `make upgrade` show."""

from unittest.mock import Mock

from docker.errors import ImageNotFound

from ops.status import image_name

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
