"""The values that settings can have: what the images take, all of it and nothing else."""

from pathlib import Path

import pytest

from tests.unit.settings_problems import problems


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("POSTGRES_PARAMETERS=shared_buffers", "is not a list of PostgreSQL parameters"),
        ("POSTGRES_PARAMETERS='log_line_prefix=\"%m\"'", "is not a list of PostgreSQL parameters"),
        ("EVOLUTION_POSTGRES_PARAMETERS=TimeZone=UTC Max_connections=5", "holds Max_connections, which is set by this program"),
        ("EVOLUTION_REDIS_DATABASE=16", "write a number from 0 to 15"),
        ("CACHE_REDIS_PREFIX_KEY=a b", "is not a prefix"),
        ("PGADMIN_DEFAULT_EMAIL=me@host.local", "has a domain that pgAdmin refuses"),
        ("PGADMIN_DEFAULT_EMAIL=me@b.Test", "has a domain that pgAdmin refuses"),
        ("PGADMIN_DEFAULT_EMAIL=me@localhost", "is not an e-mail address that pgAdmin takes"),
        ("PGADMIN_DEFAULT_EMAIL=me@b..com", "as in admin@example.com"),
        ("PGADMIN_DEFAULT_EMAIL=me@ab--c.com", "is not an e-mail address"),
        ("S3_BUCKET=No", "is not a bucket name"),
        ("S3_BUCKET=a..b", "a letter or digit on both sides of each dot"),
        ("S3_BUCKET=a.-b", "a letter or digit on both sides of each dot"),
        ("S3_BUCKET=192.168.5.4", "S3 takes none that looks like an IP address"),
        ("S3_BUCKET=minio", "is a name that MinIO keeps for itself"),
        ("POSTGRES_DB=template0", "is a database that every PostgreSQL server has for itself"),
        ("EVOLUTION_POSTGRES_DB=template1", "is a database that every PostgreSQL server has for itself"),
        ("POSTGRES_USER=public", "is a name that PostgreSQL keeps for itself"),
        ("EVOLUTION_POSTGRES_USER=none", "is a name that PostgreSQL keeps for itself"),
        ("POSTGRES_USER=1st", "no digit first"),
        ("BACKUP_DIR=", "is empty: name a folder"),
        ("BACKUP_DIR='  '", "is empty: name a folder"),
        ("BACKUP_DIR=~no-such-user/backups", "begins with the home of a user that this machine does not have"),
        ("BACKUP_KEY=", "is empty: give it a value, or leave the line out and backups are not encrypted"),
        ("BACKUP_KEY=' in front'", "begins or ends with a blank"),
        ('BACKUP_KEY="two\\nlines"', "holds characters that can't be typed at a prompt"),
        ("APP_API_KEY=", "leave the line out and callers need none in development"),
        ("APP_API_KEY='two words'", "holds characters that the images can't take"),
        ("MINIO_ROOT_USER=ab", "is not a login name that MinIO takes: write 3 to 64"),
        ("RABBITMQ_EXCHANGE_NAME=amq.mine", "no amq. in front"),
        ("EVOLUTION_CLIENT_NAME=", "is not a client name"),
        ('CONFIG_SESSION_PHONE_CLIENT="a\\nb"', "holds characters that can't be shown"),
        ("EVOLUTION_SERVER_URL=http://:8080", "is not a URL"),
        ("EVOLUTION_SERVER_URL=http://host:99999", "is not a URL"),
        ("EVOLUTION_SERVER_URL=evolution.example.com", "write http://host or https://host"),
        ("WEBHOOK_GLOBAL_URL=app.internal/x", "is not a URL"),
        ("WEBHOOK_GLOBAL_URL=http://app:8000/x", "would never be called by Evolution API 2.2.3"),
        ("WEBHOOK_GLOBAL_URL=http://my_app.internal/x", "would never be called by Evolution API 2.2.3"),
        ("WEBHOOK_GLOBAL_URL=http://app.x/x", "would never be called by Evolution API 2.2.3"),
        ("BIND_ADDRESS=localhost", "is not an IP address: write one of this machine"),
        ("BIND_ADDRESS=10.0.0.300", "is not an IP address"),
        ("BIND_ADDRESS=10.0.0.0/8", "is not an IP address"),
        ("BIND_ADDRESS=", "is not an IP address"),
        ("BIND_ADDRESS=224.0.0.1", "is an address on which no port can be published"),
        ("BIND_ADDRESS=255.255.255.255", "is an address on which no port can be published"),
        ("BIND_ADDRESS=ff02::1", "is an address on which no port can be published"),
        ("BIND_ADDRESS=fe80::1", "is an address on which no port can be published"),
        ("BIND_ADDRESS=fd00::1%eth0", "is an address on which no port can be published"),
        ("BIND_ADDRESS=::ffff:10.0.0.1", "is an address on which no port can be published"),
    ],
)
def test_what_an_image_refuses_is_refused_before_with_a_mend(tmp_path: Path, line: str, words: str) -> None:
    (found,) = problems(tmp_path, f"{line}\n")
    assert words in found


@pytest.mark.parametrize(
    "line",
    [
        "PGADMIN_DEFAULT_EMAIL=Me@Example.COM",
        "PGADMIN_DEFAULT_EMAIL=first.last+tag@mail.example.co.uk",
        "S3_BUCKET=media.my-company.2",
        "S3_BUCKET=1.2.3",
        "POSTGRES_DB=postgres",
        "POSTGRES_DB=pg_data",
        "POSTGRES_USER=postgres",
        "POSTGRES_USER=select",
        "BACKUP_DIR=/var/backups/my stack",
        "BACKUP_DIR=~/backups",
        "BACKUP_KEY=correct horse battery staple",
        "BACKUP_KEY='senha com acentuação, \"aspas\" e `crases`'",
        "RABBITMQ_DEFAULT_USER=me",
        "CONFIG_SESSION_PHONE_CLIENT='Minha Loja'",
        "EVOLUTION_SERVER_URL=http://[fd00::1]:8080",
        "WEBHOOK_GLOBAL_URL=",
        "WEBHOOK_GLOBAL_URL=http://10.0.0.5:8000/hook",
        "WEBHOOK_GLOBAL_URL=https://user:password@hooks.example.com/hook",
        "BIND_ADDRESS=192.168.1.10",
        "BIND_ADDRESS=fd00::1",
        "POSTGRES_IMAGE=postgres:16.1",
        "POSTGRES_IMAGE=quay.io/minio/minio",
        "POSTGRES_IMAGE=localhost:5000/a/b:tag",
        f"POSTGRES_IMAGE=redis@sha256:{'a' * 64}",
        "POSTGRES_IMAGE=rabbitmq:management",
    ],
)
def test_what_an_image_takes_is_taken(tmp_path: Path, line: str) -> None:
    assert not problems(tmp_path, f"{line}\n")
