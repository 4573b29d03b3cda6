"""`evolution_postgres`: Evolution API's database."""

from stack.context import Context
from stack.services.postgres import Database, Postgres
from stack.spec import Limits
from stack.vocabulary import ServiceName, VolumeName


class EvolutionPostgres(Postgres):
    """Postgres for Evolution API."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        database = Database(
            service=ServiceName.EVOLUTION_POSTGRES,
            volume=VolumeName.POSTGRES_EVO_DATA,
            user=settings.evolution_postgres_user,
            password=context.credentials.evolution_postgres_password,
            database=settings.evolution_postgres_db,
            host_port=settings.evolution_postgres_port,
            max_connections=settings.evolution_postgres_max_connections,
            parameters=settings.evolution_postgres_parameters,
            limits=Limits(settings.evolution_postgres_memory_mb, settings.evolution_postgres_cpus),
        )
        super().__init__(database, context)
