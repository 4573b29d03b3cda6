"""Read by pgAdmin after its own configuration: a server for several people, its data on the volume, its log on standard output.

PGADMIN_CONFIG_NAME=value sets NAME to that Python literal, as in the official image.
"""

import ast
import os

SERVER_MODE = True
DATA_DIR = "/var/lib/pgadmin"
LOG_FILE = "/dev/null"
SQLITE_PATH = f"{DATA_DIR}/pgadmin4.db"
SESSION_DB_PATH = f"{DATA_DIR}/sessions"
STORAGE_DIR = f"{DATA_DIR}/storage"
AZURE_CREDENTIAL_CACHE_DIR = f"{DATA_DIR}/azurecredentialcache"
KERBEROS_CCACHE_DIR = f"{DATA_DIR}/kerberoscache"
UPGRADE_CHECK_ENABLED = False
_PREFIX = "PGADMIN_CONFIG_"
globals().update({name.removeprefix(_PREFIX): ast.literal_eval(value) for name, value in os.environ.items() if name.startswith(_PREFIX)})
