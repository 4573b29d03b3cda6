"""The WhatsApp application environment: the topology of one stack, from top to bottom.

A service that takes another as an argument waits until that one is ready.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for those who run it by its path, from elsewhere

from stack.context import prepare, stack_settings
from stack.outputs import export
from stack.services.app import App
from stack.services.audio_converter import AudioConverter
from stack.services.db import Db
from stack.services.evolution_api import EvolutionApi
from stack.services.evolution_postgres import EvolutionPostgres
from stack.services.minio import Minio
from stack.services.pgadmin import Pgadmin
from stack.services.rabbitmq import Rabbitmq
from stack.services.redis import Redis

folder = Path(__file__).resolve().parent
settings = stack_settings(folder)
context = prepare(settings, folder)

evolution_postgres = EvolutionPostgres(context)
redis = Redis(context)
rabbitmq = Rabbitmq(context)
minio = Minio(context)
audio_converter = AudioConverter(context)
evolution_api = EvolutionApi(context, evolution_postgres, redis, rabbitmq, minio, audio_converter)

db = Db(context)
app = App(context, db, rabbitmq, evolution_api)

services = [app, db, evolution_api, evolution_postgres, redis, rabbitmq, minio, audio_converter]
if context.credentials.pgadmin_password is not None:
    services.append(Pgadmin(context, context.credentials.pgadmin_password))

export(context, services)
