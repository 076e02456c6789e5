"""Check the packages of the `server` extra before anything imports them, so that the error names the extra."""

from embedpipe._optional import require

require("fastapi", extra="server")
require("fastapi_offline", extra="server")
require("uvicorn", extra="server")
require("prometheus_client", extra="server")
