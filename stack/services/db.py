"""`db`: the application's database."""

from stack.context import Context
from stack.services.postgres import Database, Postgres
from stack.spec import Limits
from stack.vocabulary import ServiceName, VolumeName


class Db(Postgres):
    """Postgres for the application."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        database = Database(
            service=ServiceName.DB,
            volume=VolumeName.POSTGRES_ADK_DATA,
            user=settings.postgres_user,
            password=context.credentials.postgres_password,
            database=settings.postgres_db,
            host_port=settings.postgres_port,
            max_connections=settings.postgres_max_connections,
            parameters=settings.postgres_parameters,
            limits=Limits(settings.postgres_memory_mb, settings.postgres_cpus),
        )
        super().__init__(database, context)
