"""Where the images come from on this machine, and those that other local images are built on."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ops.setup import debian, golang, places
from ops.setup.errors import SetupError
from ops.setup.network import reachable
from ops.setup.report import run, say, seconds_since
from stack.reading import UnreadableError, text_of

if TYPE_CHECKING:
    from ops.setup.engine import Engine

BASE = "whatsapp-local/base:12"
REGISTRIES = ("https://registry-1.docker.io/v2/", "https://quay.io/v2/")
_SECONDS_TO_ANSWER = 4.0
_KEY_LABEL = "whatsapp-stack.key"
_BUILD = ["build", "-trimpath", "-ldflags", "-s -w"]
_PROGRAMS = {"minio": "github.com/minio/minio", "mc": "github.com/minio/mc"}


def decide_source(project: Path) -> None:
    """Write `IMAGES=registry` or `IMAGES=local` to `.state/machine.env`, once: whether this machine reaches the registries."""
    file = places.state(project) / "machine.env"
    if file.exists():
        return
    away = [url.split("/")[2] for url, answers in reachable(REGISTRIES, _SECONDS_TO_ANSWER).items() if not answers]
    choice = "local" if away else "registry"
    because = f"{' and '.join(away)} cannot be reached: building local images" if away else "the registries answer: using official images"
    say(f"images: {because} (IMAGES={choice} in .state/machine.env; remove that file to decide again)")
    places.write_atomically(file, f"IMAGES={choice}\n")


def source_of(project: Path, env_file: str, configured: str | None) -> str:
    """Where a stack takes its images from: its settings file says, else its configuration, else what was decided for the machine.

    This looks only as far as the set-up must know what to make; refusing a wrong value is the business of the settings.
    """
    return _named_in(project, env_file) or configured or _named_in(places.state(project), "machine.env") or "registry"


def _named_in(folder: Path, file: str) -> str | None:
    try:
        text = text_of(folder, file) or ""
    except UnreadableError:
        return None  # which the settings refuse, in words
    found = re.findall(r"^\s*(?:export\s+)?IMAGES\s*=\s*[\"']?(\w+)", text, re.MULTILINE)
    return str(found[-1]) if found else None


def ensure_foundations(project: Path, engine: Engine) -> None:
    """Make the images that the provider can't build from a Dockerfile: the base, and MinIO's programs.

    Raises:
        SetupError: one is missing and can't be made here.
    """
    _ensure_base(project / "images" / "base", engine)
    _ensure_minio_binaries(project, engine)


def minio_binaries_name(go_mod: str) -> str:
    """The image's name, tagged with the date of MinIO's version in the go.mod."""
    found = re.search(r"github\.com/minio/minio v\S*?-(\d{8})\d{6}-", go_mod)
    if found is None:
        message = "images/minio/binaries/go.mod names no version of github.com/minio/minio"
        raise ValueError(message)
    return f"whatsapp-local/minio-binaries:{found.group(1)}"


def key_of(*parts: bytes) -> str:
    """A short hash over the inputs of an image."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}\0".encode() + part)
    return digest.hexdigest()[:16]


def _ensure_base(recipe: Path, engine: Engine) -> None:
    what = f"image {BASE}"
    key = key_of((recipe / "build.sh").read_bytes())
    if (engine.image_labels(BASE) or {}).get(_KEY_LABEL) == key:
        return
    if os.geteuid() != 0:
        mend = "run `make setup` once as root (sudo), which makes it, or use images from a registry (IMAGES=registry)"
        raise SetupError(what, "the base of all local images is made with debootstrap, which needs root", mend)
    started = time.monotonic()
    directory = places.cache() / "base"
    with places.lock(directory / ".lock", lambda: say(f"images: another command is making {BASE}; waiting for it")):
        if (engine.image_labels(BASE) or {}).get(_KEY_LABEL) == key:
            return
        if not Path("/usr/sbin/debootstrap").exists():
            debian.install(what, ["debootstrap", "debian-archive-keyring"], "install debootstrap yourself")
        mirror, security = debian.mirrors(what, Path("/etc/apt"))
        say(f"images: making {BASE} from {mirror} (about half a minute)")
        places.require_space(what, directory, 1.0)
        with places.scratch(directory) as work:
            run(what, [str(recipe / "build.sh"), str(work), mirror, security], f"see whether {mirror} can be reached")
            changes = ["ENV LANG=C.UTF-8", 'CMD ["bash"]', f"LABEL {_KEY_LABEL}={key}"]
            engine.import_image(work / "base.tar", BASE, changes)
    say(f"images: made {BASE} in {seconds_since(started)}")


def _ensure_minio_binaries(project: Path, engine: Engine) -> None:
    module = project / "images" / "minio" / "binaries"
    go_mod = (module / "go.mod").read_bytes()
    name = minio_binaries_name(go_mod.decode())
    key = key_of(go_mod, (module / "go.sum").read_bytes(), " ".join(_BUILD).encode())
    if (engine.image_labels(name) or {}).get(_KEY_LABEL) == key:
        return
    what = f"image {name}"
    directory = places.cache() / "minio-binaries"
    with places.lock(directory / ".lock", lambda: say(f"images: another command is making {name}; waiting for it")):
        archive = directory / f"{key}.tar"
        if not archive.exists():
            _build_minio(project, module, what, archive)
        if (engine.image_labels(name) or {}).get(_KEY_LABEL) != key:
            engine.import_image(archive, name, [f"LABEL {_KEY_LABEL}={key}"])
            say(f"images: made {name}")


def _build_minio(project: Path, module: Path, what: str, archive: Path) -> None:
    golang.version_for(project, module, what)  # says clearly when there is no Go for it
    started = time.monotonic()
    places.require_space(what, archive.parent, 3.0)
    say("images: compiling MinIO and its client (about 4 minutes on 2 cores the first time)")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    with places.scratch(archive.parent) as work:
        command = ["go", *_BUILD, "-o", f"{work}/", *_PROGRAMS.values()]
        run(what, command, "see that a Go module proxy can be reached (GOPROXY, https_proxy)", cwd=module, env=environment)
        unfinished = work / archive.name
        with tarfile.open(unfinished, "w") as tar:
            for program in _PROGRAMS:
                entry = tar.gettarinfo(str(work / program), arcname=program)
                entry.uid = entry.gid = 0
                entry.uname = entry.gname = "root"
                entry.mode = 0o755
                with (work / program).open("rb") as content:
                    tar.addfile(entry, content)
        unfinished.rename(archive)
    say(f"images: compiled MinIO in {seconds_since(started)}")
