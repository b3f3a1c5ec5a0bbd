"""How the source is connected to."""

from psycopg2.extensions import parse_dsn
from pydantic import SecretStr

from ingestion.postgres import first_line, reader_uri
from ingestion.settings import Settings


def test_a_connection_notices_a_server_that_is_gone() -> None:
    settings = Settings.model_construct(
        postgres_host="h",
        postgres_port=1,
        pgsslmode="verify-full",
        pgsslrootcert="/our certificates/root.crt",
        source_db="d",
        source_reader_user="u",
        source_reader_password=SecretStr("p@ss/?&"),
        source_capture_user="capture",
        source_capture_password=SecretStr("capture"),
        source_owner_user="o",
        source_owner_password=SecretStr(""),
    )
    parsed = parse_dsn(reader_uri(settings, "a test"))
    assert parsed["password"] == "p@ss/?&"
    assert parsed["keepalives_idle"] == "30"
    assert parsed["tcp_user_timeout"] == "60000"
    assert parsed["sslmode"] == "verify-full"
    assert parsed["sslrootcert"] == "/our certificates/root.crt"


def test_an_error_without_words_is_named() -> None:
    assert first_line(ConnectionResetError()) == "ConnectionResetError"
    assert first_line(ValueError("\none\ntwo")) == "one"
