"""Collections that follow a table of the user's own: triggers note what changed, and `sync` brings it in.

Imported from outside of `embedpipe.storage` too, by whoever syncs.
"""

from embedpipe.storage.attach.attaching import attach, attached_table, detach
from embedpipe.storage.attach.changes import Claim, Removed, retry, take
from embedpipe.storage.attach.table import Table

__all__ = ["Claim", "Removed", "Table", "attach", "attached_table", "detach", "retry", "take"]
