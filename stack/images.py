"""The images of the services: from a registry, or built here from packages, as the settings say.

Whatever is built is built through the provider, so a preview shows it. The tag of a built image carries a hash of all that goes into it, so
that another checkout's build can't take its place, and containers use images by id: a registry's tag stays the same when it moves.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pulumi
import pulumi_docker as docker
from docker.utils import exclude_paths

from stack.settings import Settings
from stack.settings_table import ImageSource
from stack.vocabulary import ServiceName

LOCAL_PREFIX = "whatsapp-local"
BASE_IMAGE = f"{LOCAL_PREFIX}/base:12"
"""Debian 12, made by the set-up: no registry, no provider can."""

MINIO_BINARIES_IMAGE = f"{LOCAL_PREFIX}/minio-binaries:20260212"
"""MinIO and mc, compiled by the set-up."""

_REFERENCES = {
    ServiceName.DB: "postgres_image",
    ServiceName.EVOLUTION_API: "evolution_image",
    ServiceName.EVOLUTION_POSTGRES: "evolution_postgres_image",
    ServiceName.REDIS: "redis_image",
    ServiceName.RABBITMQ: "rabbitmq_image",
    ServiceName.MINIO: "minio_image",
    ServiceName.AUDIO_CONVERTER: "audio_converter_image",
    ServiceName.PGADMIN: "pgadmin_image",
}
"""The setting that names each service's image."""


@dataclass(frozen=True)
class LocalImage:
    """An image built from packages.

    Attributes:
        name: its name below `whatsapp-local/`.
        context: its folder, below the project.
        bases: build arguments that name the images it builds on, each an image of this table or made by the set-up.
        arguments: further build arguments.
    """

    name: str
    context: str
    bases: Mapping[str, str]
    arguments: Mapping[str, str] = field(default_factory=dict)


_POSTGRES_VERSIONS = ("15.19.0", "16.15.0", "17.11.0", "18.6.0")
"""Those of images/postgres/checksums. The databases begin with the older ones; `make upgrade-postgres` moves them on."""

_POSTGRES = tuple(
    LocalImage(f"postgres:{version.partition('.')[0]}", "images/postgres", {"BASE_IMAGE": "postgres-base"}, {"POSTGRES_VERSION": version})
    for version in _POSTGRES_VERSIONS
)
_LOCAL_IMAGES = (
    LocalImage("python", "images/python", {"BASE_IMAGE": BASE_IMAGE}),
    LocalImage("postgres-base", "images/postgres-base", {"BASE_IMAGE": BASE_IMAGE}),
    *_POSTGRES,
    LocalImage("redis", "images/redis", {"BASE_IMAGE": BASE_IMAGE}),
    LocalImage("rabbitmq", "images/rabbitmq", {"BASE_IMAGE": BASE_IMAGE}),
    LocalImage("minio", "images/minio", {"BASE_IMAGE": BASE_IMAGE, "BINARIES_IMAGE": MINIO_BINARIES_IMAGE}),
    LocalImage("audio-converter", "images/audio-converter", {"PYTHON_IMAGE": "python"}),
    LocalImage("pgadmin", "images/pgadmin", {"PYTHON_IMAGE": "python"}),
)
_SIMULATOR = LocalImage("evolution-simulator", "simulator", {"PYTHON_IMAGE": "python"})
_LOCAL = {
    ServiceName.DB: "postgres:16",
    ServiceName.EVOLUTION_POSTGRES: "postgres:15",
    ServiceName.REDIS: "redis",
    ServiceName.RABBITMQ: "rabbitmq",
    ServiceName.MINIO: "minio",
    ServiceName.AUDIO_CONVERTER: "audio-converter",
    ServiceName.PGADMIN: "pgadmin",
}
"""The local image of each service that has one of its own."""


class Images(pulumi.ComponentResource):
    """The images that a stack uses; each is fetched or built once, when a service first asks for it."""

    def __init__(self, settings: Settings, project_folder: Path) -> None:
        super().__init__("whatsapp:stack:Images", "images")
        self._settings = settings
        self._folder = project_folder
        self._made: dict[str, docker.RemoteImage] = {}
        self._tags: dict[str, str] = {}
        self._table = {image.name: image for image in (*_LOCAL_IMAGES, _SIMULATOR)}
        self.register_outputs({})

    def of(self, service: ServiceName) -> pulumi.Output[str]:
        """The id of the service's image; its name where nobody knows an id, as Pulumi's mocks don't unless a test makes one up."""
        if service is ServiceName.APP:
            made = self._app()
        else:
            local = local_image(self._settings, service)
            made = self.built(local) if local else self._from_registry(reference_of(self._settings, service))
        return pulumi.Output.all(made.image_id, made.name).apply(lambda known: str(known[0] or known[1]))

    def _from_registry(self, reference: str) -> docker.RemoteImage:
        if reference not in self._made:
            options = pulumi.ResourceOptions(parent=self)
            # keep_locally: other stacks may use it, and the next `up` should not have to fetch it again.
            self._made[reference] = docker.RemoteImage(reference, name=reference, keep_locally=True, opts=options)
        return self._made[reference]

    def _app(self) -> docker.RemoteImage:
        target = "dev" if self._settings.app_mount_source else "prod"
        image = LocalImage("app", ".", {"PYTHON_IMAGE": "python"})
        return self._build(image, f"{self._settings.project}-app", target)

    def built(self, name: str) -> docker.RemoteImage:
        """A local image, by its name."""
        if name not in self._made:
            self._made[name] = self._build(self._table[name], f"{LOCAL_PREFIX}/{name}")
        return self._made[name]

    def _base(self, name: str) -> tuple[pulumi.Input[str], str]:
        """An image to build on, as a reference that waits until it is there, and as plain text."""
        if name == "python" and not _builds_python(self._settings):
            return self._settings.app_python_image, self._settings.app_python_image
        if name not in self._table:
            return name, name
        return self.built(name).name, self._tags[name]

    def _build(self, image: LocalImage, repository: str, target: str | None = None) -> docker.RemoteImage:
        """Build an image; again whenever its context, its arguments or an image it builds on changes."""
        context = self._folder / image.context
        bases = {argument: self._base(base) for argument, base in image.bases.items()}
        inputs = [context_hash(context, target), *image.arguments.values(), *(plain for _, plain in bases.values())]
        content = hashlib.sha256("\n".join(inputs).encode()).hexdigest()[:12]
        name, _, version = repository.partition(":")
        tag = self._tags[image.name] = f"{name}:{version}-{content}" if version else f"{name}:{content}"
        build = docker.RemoteImageBuildArgs(
            context=str(context),
            target=target,
            build_args={**_proxies(), **image.arguments, **{argument: reference for argument, (reference, _) in bases.items()}},
            network_mode="host",
            secrets=_build_secrets(),
            tags=[repository],  # for people, and tests that start a single image
        )
        # Built before anything goes: with the fixed name the engine would stop the containers first, and a failed build left them away.
        options = pulumi.ResourceOptions(parent=self, delete_before_replace=False)
        return docker.RemoteImage(image.name, name=tag, keep_locally=True, build=build, triggers={"content": content}, opts=options)


def reference_of(settings: Settings, service: ServiceName) -> str:
    """The image of a service that comes from a registry, as the settings name it."""
    return str(getattr(settings, _REFERENCES[service]))


def registry_references(settings: Settings) -> set[str]:
    """The images that a stack takes from a registry."""
    services = set(_REFERENCES) - (set() if settings.pgadmin_enabled else {ServiceName.PGADMIN})
    references = {reference_of(settings, service) for service in services if not local_image(settings, service)}
    return references if _builds_python(settings) else references | {settings.app_python_image}


def local_image(settings: Settings, service: ServiceName) -> str | None:
    """The name of the image that is built here for a service; None when its image comes from a registry."""
    if service is ServiceName.EVOLUTION_API and settings.simulates_evolution:
        return _SIMULATOR.name
    if settings.images is not ImageSource.LOCAL:
        return None
    if settings.is_default(_REFERENCES[service]):
        return _LOCAL.get(service)
    # An image of the user's own choice is meant, also where the others are local; but `postgres:17` names what can be built here too.
    return postgres_built_here(reference_of(settings, service))


def postgres_built_here(reference: str) -> str | None:
    """The name of the local image in the place of an official `postgres:<major>`, where there is one."""
    return reference if reference in {image.name for image in _POSTGRES} else None


def _builds_python(settings: Settings) -> bool:
    return settings.images is ImageSource.LOCAL and settings.is_default("app_python_image")


def _proxies() -> dict[str, pulumi.Output[str]]:
    """This machine's proxy, for the package clients in a build: arguments that every builder knows, and keeps out of the layers.

    Its URL may hold a password.
    """
    given = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in ("http_proxy", "https_proxy", "no_proxy")}
    return {name: pulumi.Output.secret(value) for name, value in given.items() if value}


def _build_secrets() -> list[docker.RemoteImageBuildSecretArgs] | None:
    """The CA bundle of a machine behind a proxy, for the package clients in a build; it reaches no layer."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return [docker.RemoteImageBuildSecretArgs(id="ca_bundle", src=bundle)] if bundle and Path(bundle).is_file() else None


def context_hash(context: Path, target: str | None = None) -> str:
    """A hash over what a build of `context` sees: names, modes and contents of the files that `.dockerignore` lets through.

    The application's `dev` target takes no sources (they are mounted), so they do not count for it.
    """
    ignore = context / ".dockerignore"
    patterns = (
        [line.strip() for line in ignore.read_text().splitlines() if line.strip() and not line.startswith("#")] if ignore.exists() else []
    )
    wanted = {"Dockerfile", "src/requirements.txt"} if target == "dev" else None
    digest = hashlib.sha256(f"target {target}\n".encode())
    for name in sorted(exclude_paths(str(context), [*patterns, "**/__pycache__"])):
        path = context / name
        if path.is_file() and (wanted is None or name in wanted):
            digest.update(f"{name}\0{path.stat().st_mode & 0o111:o}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
