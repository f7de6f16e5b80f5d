"""What a client is shown instead of what it asked for. In: the reason. Out: a whole HTTP/1.1 response that ends the connection."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

_LONGEST = 300


def page(status: HTTPStatus, text: str, *, with_body: bool = True) -> bytes:
    """A response with `text` (plain, of any origin) on an HTML page; `with_body` is False for the answer to HEAD."""
    title = f"{status.value} {status.phrase}"
    body = (
        f"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>{title}</title>\n"
        f"<h1>{title}</h1>\n<p>{escape(text[:_LONGEST])}</p>\n</html>\n"
    ).encode()
    head = (
        f"HTTP/1.1 {title}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
