"""Constructs the controller's WSGI application.

In: a backend and settings. Out: the callable that `server.serve` serves. It opens what the settings name, and nothing
else.
"""

from sdn_app.api.audit import AuditLog
from sdn_app.api.backend import Backend
from sdn_app.api.routes import make_routes
from sdn_app.api.security import ApiKeys, RateLimit, read_keys
from sdn_app.api.wsgi import Application
from sdn_app.settings import Settings


def make_app(backend: Backend, settings: Settings) -> Application:
    """The controller's WSGI application.

    Raises:
        SettingsError: where the API keys or the audit log cannot be used.
    """
    keys = ApiKeys({} if settings.api_keys_file is None else read_keys(settings.api_keys_file))
    limit = RateLimit(settings.rate_limit_rps, settings.rate_burst_requests)
    return Application(make_routes(backend), keys, limit, AuditLog(settings.audit_log))
