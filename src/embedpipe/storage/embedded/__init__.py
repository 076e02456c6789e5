"""The PostgreSQL server that embedpipe starts by itself where no database is named.

Imported from outside of `embedpipe.storage` too, to start and stop that server.
"""

from embedpipe.storage.embedded.cluster import packaged_binaries, tail
from embedpipe.storage.embedded.role import SUPERUSER
from embedpipe.storage.embedded.server import embedded_folder, embedded_url, start_embedded, stop_embedded

__all__ = [
    "SUPERUSER",
    "embedded_folder",
    "embedded_url",
    "packaged_binaries",
    "start_embedded",
    "stop_embedded",
    "tail",
]
