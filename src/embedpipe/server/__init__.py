"""The HTTP server: embeddings, search, ingest and answers over one model and one database.

`create_app` builds the application, `listen` and `run` serve it.
"""

from embedpipe.server import _required as _required
from embedpipe.server.app import create_app
from embedpipe.server.resources import ServerState
from embedpipe.server.serve import Server, address_of, listen, run, spare_machine
from embedpipe.server.settings import ServerSettings
from embedpipe.server.web import ApiKeys, check_address

__all__ = [
    "ApiKeys",
    "Server",
    "ServerSettings",
    "ServerState",
    "address_of",
    "check_address",
    "create_app",
    "listen",
    "run",
    "spare_machine",
]
