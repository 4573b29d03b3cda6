"""The package mirror of the base image: the one that this machine uses itself."""

from pathlib import Path

import pytest

from ops.setup import debian
from ops.setup.errors import SetupError

PARAGRAPHS = """\
# comment
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security/
Suites: bookworm-security
Components: main contrib
"""


def apt(folder: Path, **files: str) -> Path:
    (folder / "sources.list.d").mkdir()
    for name, text in files.items():
        place = folder / "sources.list" if name == "main" else folder / "sources.list.d" / name.replace("_", ".")
        place.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"debian_sources": PARAGRAPHS}, ("http://mirror.example/debian", "http://mirror.example/debian-security")),
        (
            {"main": "deb-src http://s.example bookworm main\ndeb [arch=amd64 signed-by=/k] https://m.example/debian bookworm main # mine"},
            ("https://m.example/debian", "https://m.example/debian-security"),
        ),
        ({"main": "deb http://new.example/debian trixie main\n"}, ("http://new.example/debian", "http://new.example/debian-security")),
    ],
    ids=["paragraphs", "one line", "a newer debian"],
)
def test_the_mirror_is_the_one_of_this_machine(tmp_path: Path, files: dict[str, str], expected: tuple[str, str]) -> None:
    assert debian.mirrors("an image", apt(tmp_path, **files)) == expected


def test_a_list_of_mirrors_as_in_debians_cloud_images_is_unfolded(tmp_path: Path) -> None:
    (tmp_path / "debian.list").write_text("# the nearest first\nhttps://near.example/debian\tpriority:1\nhttps://far.example/debian\n")
    (tmp_path / "security.list").write_text("https://near.example/debian-security\n")
    text = PARAGRAPHS.replace("http://mirror.example/debian-security/", f"mirror+file:{tmp_path}/security.list")
    text = text.replace("http://mirror.example/debian", f"mirror+file:{tmp_path}/debian.list")
    assert debian.mirrors("an image", apt(tmp_path, debian_sources=text)) == (
        "https://near.example/debian",
        "https://near.example/debian-security",
    )


@pytest.mark.parametrize(
    "files",
    [
        {"debian_sources": "Enabled: no\n" + PARAGRAPHS.split("\n\n", maxsplit=1)[0]},
        {"node_list": "deb http://node.example nodistro main\n"},
        {"main": "deb http://ubuntu.example/ubuntu jammy main\n"},
        {"main": "deb cdrom:[Debian] bookworm main\n"},
        {"main": "deb mirror+file:/nowhere/debian.list bookworm main\n"},
    ],
    ids=["disabled", "somebody's packages", "ubuntu", "a disc", "a list that is not there"],
)
def test_a_machine_without_a_debian_mirror_is_told_what_to_do(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(SetupError, match=r"no Debian mirror is among apt's sources(.|\n)*IMAGES=registry"):
        debian.mirrors("an image", apt(tmp_path, **files))
