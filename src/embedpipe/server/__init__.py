"""The HTTP server: embeddings, search, ingest and answers, over one model and one database."""

from embedpipe.server import _required as _required
from embedpipe.server.app import create_app
from embedpipe.server.security import ApiKeys
from embedpipe.server.settings import ServerSettings

__all__ = ["ApiKeys", "ServerSettings", "create_app"]
