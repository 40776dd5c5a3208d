"""What is asked of the proxy and of the resolver inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.network.dns_message import answer, parse_question
from runtimes.network.proxy_request import BadRequest, Wanted, parse_request


def head(line: str, *fields: str) -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


def test_connect_names_a_host_and_a_port() -> None:
    assert parse_request(head("CONNECT api.example.com:443 HTTP/1.1", "Host: x")) == Wanted(
        "api.example.com", 443
    )
    assert parse_request(head("CONNECT [2001:DB8::7]:443 HTTP/1.1")) == Wanted("2001:db8::7", 443)


def test_a_request_for_an_address_goes_on_in_its_own_form() -> None:
    wanted = parse_request(
        head(
            "GET http://api.example.com/a?b=c HTTP/1.1", "Host: other.example",
            "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eDp5", "Accept: */*",
        )
    )  # fmt: skip
    assert (wanted.host, wanted.port) == ("api.example.com", 80)
    assert wanted.head == head(
        "GET /a?b=c HTTP/1.1", "Host: api.example.com", "Accept: */*", "Connection: close"
    )


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        ("http://h.example", "h.example", "/"), ("http://h.example?x", "h.example", "/?x"),
        ("HTTP://h.example:81/#f", "h.example", "/"),
    ],
)  # fmt: skip
def test_any_address_has_a_path(target: str, host: str, path: str) -> None:
    wanted = parse_request(head(f"GET {target} HTTP/1.1"))
    assert wanted.host == host
    assert wanted.head.startswith(f"GET {path} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT api.example.com HTTP/1.1", "CONNECT api.example.com:0 HTTP/1.1", "CONNECT :443 HTTP/1.1",
        "CONNECT api.example.com:99999 HTTP/1.1", "CONNECT a b:443 HTTP/1.1", "CONNECT a:443 HTTP/2",
        "CONNECT evil@api.example.com:443 HTTP/1.1", "CONNECT http://a:443 HTTP/1.1", "GET / HTTP/1.1",
        "GET https://a/ HTTP/1.1", "GET http://user@a/ HTTP/1.1", "GET http:///x HTTP/1.1", "nonsense", "",
        "GET http://[::1/ HTTP/1.1", "CONNECT api.example.com:443\tHTTP/1.1",
    ],
)  # fmt: skip
def test_what_is_no_request_is_none(line: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(head(line))


@pytest.mark.parametrize("field", ["no colon", " folded: x", "a: b\nc: d", "a: b\0", "sp ace: x", ": x"])
def test_a_field_that_is_none_spoils_the_request(field: str) -> None:
    with pytest.raises(BadRequest):
        parse_request(head("GET http://a.example/ HTTP/1.1", field))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_none(data: bytes) -> None:
    try:
        wanted = parse_request(data)
    except BadRequest:
        return
    assert wanted.host
    assert 0 < wanted.port < 65536


def query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + bytes([0, kind, 0, 1])


def test_a_name_has_the_address_that_it_has_inside() -> None:
    question = parse_question(query("API.example.com"))
    assert question is not None
    assert question.name == "API.example.com"
    packet = answer(question, "127.83.0.2")
    assert packet[:12] == b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
    assert packet.endswith(b"\x00\x04\x7f\x53\x00\x02")
    assert question.raw in packet


def test_a_name_that_is_not_there_and_one_without_such_an_address_are_told_apart() -> None:
    nobody, other = parse_question(query("nobody.example")), parse_question(query("api.example.com", 28))
    assert nobody is not None
    assert other is not None
    assert answer(nobody, "")[3] & 15 == 3
    assert answer(other, "127.83.0.2")[3] & 15 == 0
    assert answer(other, "127.83.0.2")[7] == 0


@given(st.binary(max_size=80))
def test_any_packet_is_a_question_or_none(packet: bytes) -> None:
    question = parse_question(packet)
    if question is not None:
        assert answer(question, "127.0.0.1")[:2] == packet[:2]
