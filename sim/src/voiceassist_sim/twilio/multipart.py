"""Reads multipart/form-data as an upload sends it: strictly, every part once; pure."""

from __future__ import annotations

from email.message import Message
from email.parser import BytesHeaderParser

from .api import Part
from .errors import bad_parameter


def parse_multipart(body: bytes, content_type: str) -> dict[str, Part]:
    """The parts by name; ``content_type`` is the header with its parameters.

    400/20001 for another content type, no boundary, a body that does not keep to it, a part without a name or given twice.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not content_type:
        raise bad_parameter(f"Content-Type must be multipart/form-data, not {content_type.partition(';')[0] or 'absent'}")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise bad_parameter("multipart/form-data needs a boundary")
    first, *rest = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if first or len(rest) < 2 or rest[-1] not in (b"--", b"--\r\n"):
        raise bad_parameter("The body does not keep to the boundary of multipart/form-data")
    parts: dict[str, Part] = {}
    for raw in rest[:-1]:
        name, part = _part(raw)
        if name in parts:
            raise bad_parameter(f"Parameter {name!r} is given more than once")
        parts[name] = part
    return parts


def _part(raw: bytes) -> tuple[str, Part]:
    head, found, content = raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not raw.startswith(b"\r\n") or not found:
        raise bad_parameter("A part of the body has no headers")
    headers = BytesHeaderParser().parsebytes(head + b"\r\n\r\n")
    name = headers.get_param("name", header="Content-Disposition")
    if headers.get_content_disposition() != "form-data" or not isinstance(name, str) or not name:
        raise bad_parameter("A part of the body has no name")
    return name, Part(content, headers.get_filename(), headers.get_content_type() if "Content-Type" in headers else None)
