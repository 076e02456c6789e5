"""Ids in paths: any text, line breaks too, which Starlette's own `path` leaves out or cuts off."""

from __future__ import annotations

from starlette.convertors import PathConvertor, register_url_convertor


class _AnyText(PathConvertor):
    regex = "(?s:.*)"


ANY = "embedpipe_any"
register_url_convertor(ANY, _AnyText())
