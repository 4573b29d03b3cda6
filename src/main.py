"""What the server imports: `uvicorn src.main:app`."""

from src.application import create_app
from src.logs import configure_logging
from src.settings import load_settings_or_exit

_settings = load_settings_or_exit()
configure_logging(_settings.log_level)
app = create_app(_settings)
