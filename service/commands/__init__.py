"""The operator's commands: run the service, keep sites, read the queue, take labels out."""

from service.commands.doctor import doctor
from service.commands.history import import_
from service.commands.keep import export, forget, keys, migrate
from service.commands.moderate import queue, sign_in
from service.commands.serve import serve
from service.commands.sites import sites

__all__ = [
    "doctor",
    "export",
    "forget",
    "import_",
    "keys",
    "migrate",
    "queue",
    "serve",
    "sign_in",
    "sites",
]
