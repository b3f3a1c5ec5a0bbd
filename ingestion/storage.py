"""The bronze bucket: objects that are written once and never again."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from ingestion.errors import IngestionError, MissingError, ServiceError
from ingestion.settings import Settings

if TYPE_CHECKING:  # the stubs are there for mypy only
    from mypy_boto3_s3 import S3Client


class AlreadyLandedError(IngestionError):
    """The key holds another object already; it was left as it is."""


@dataclass(frozen=True)
class Stored:
    """An object of the bucket."""

    key: str
    size: int
    landed_at: datetime


class Bronze:
    """The bucket that ingestion writes. Safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        connections: int = 10,
        *,
        attempts: int = 4,
        timeout_seconds: int = 60,
    ) -> None:
        """``attempts`` and ``timeout_seconds`` are of one request; a caller that tries
        again by itself wants one attempt and a short wait for the answer."""
        self.bucket = settings.bronze_bucket
        self._endpoint = settings.s3_endpoint
        # boto3's own client would add transfers of files, which cost a tenth of a second to import.
        client = Session().create_client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            region_name=settings.s3_region,
            aws_access_key_id=settings.ingestion_s3_access_key,
            aws_secret_access_key=settings.ingestion_s3_secret_key.get_secret_value(),
            config=Config(
                connect_timeout=5,
                read_timeout=timeout_seconds,
                max_pool_connections=connections,
                retries={"mode": "standard", "max_attempts": attempts},
                s3={"addressing_style": "path"},
            ),
        )
        self._client = cast("S3Client", client)

    def uri(self, key: str) -> str:
        """The object's address as Trino writes it."""
        return f"s3://{self.bucket}/{key}"

    def put_once(self, key: str, body: bytes | memoryview, content_type: str) -> str:
        """Store a new object and return its SHA-256 as hex.

        The server checks the checksum before the object becomes visible.

        Raises:
            AlreadyLandedError: the key holds something else.
            ServiceError, MissingError: the store or the bucket is not there.
        """
        digest = hashlib.sha256(body)
        checksum = base64.b64encode(digest.digest()).decode()
        with self._plain_errors(f"writing {self.uri(key)}"):
            # A retry after a lost response finds the object of its own first attempt.
            if not self._put(key, body, content_type, checksum) and (
                self._checksum(key) != checksum
            ):
                raise AlreadyLandedError(f"{self.uri(key)} exists with other content")
        return digest.hexdigest()

    def put_first(
        self,
        key: str,
        body: bytes | memoryview,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        """Store a new object; False if the key holds one already, which stays as it is.

        The server checks the checksum before the object becomes visible.

        Raises:
            ServiceError, MissingError: the store or the bucket is not there.
        """
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        with self._plain_errors(f"writing {self.uri(key)}"):
            return self._put(key, body, content_type, checksum, metadata)

    def metadata(self, key: str) -> dict[str, str]:
        """What ``put_first`` noted about the object."""
        with self._plain_errors(f"reading {self.uri(key)}"):
            return self._client.head_object(Bucket=self.bucket, Key=key)["Metadata"]

    def put_folder(self, prefix: str) -> None:
        """Make ``prefix/`` exist even while it is empty.

        The metastore creates a table's missing folder, and may not write here.
        """
        with self._plain_errors(f"writing {self.uri(prefix)}/"):
            self._client.put_object(Bucket=self.bucket, Key=f"{prefix}/", Body=b"")

    def get(self, key: str) -> bytes:
        """The object's content."""
        with self._plain_errors(f"reading {self.uri(key)}"):
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys under ``prefix`` in order, without the folders' own."""
        return (stored.key for stored in self.objects(prefix))

    def objects(self, prefix: str) -> Iterator["Stored"]:
        """The objects under ``prefix`` in order, without the folders' own."""
        with self._plain_errors(f"listing {self.uri(prefix)}"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    if not entry["Key"].endswith("/"):
                        yield Stored(entry["Key"], entry["Size"], entry["LastModified"])

    def folders(self, folder: str) -> list[str]:
        """The prefixes of the folders right under ``folder/``, in order."""
        with self._plain_errors(f"listing {self.uri(folder)}"):
            pages = self._client.get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=self.bucket, Prefix=f"{folder}/", Delimiter="/")
            return [
                entry["Prefix"].rstrip("/")
                for page in found
                for entry in page.get("CommonPrefixes", [])
            ]

    def _put(
        self,
        key: str,
        body: bytes | memoryview,
        content_type: str,
        checksum: str,
        metadata: Mapping[str, str] | None = None,
    ) -> bool:
        try:
            self._client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=bytes(body) if isinstance(body, memoryview) else body,
                ContentType=content_type,
                ChecksumSHA256=checksum,
                Metadata=metadata or {},
                IfNoneMatch="*",
            )
        except ClientError as error:
            if _status(error) != 412:
                raise
            return False
        return True

    def _checksum(self, key: str) -> str | None:
        head = self._client.head_object(Bucket=self.bucket, Key=key, ChecksumMode="ENABLED")
        return head.get("ChecksumSHA256")

    @contextmanager
    def _plain_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            detail = error.response.get("Error", {})
            reason = f"{detail.get('Code')}: {detail.get('Message')}"
            if detail.get("Code") in ("NoSuchBucket", "NoSuchKey"):
                raise MissingError(f"{what}: {reason}", "`make up` creates the buckets") from None
            raise ServiceError(
                f"{what}: {reason}", "check the S3 keys in .env and `make status`"
            ) from None
        except BotoCoreError as error:
            raise ServiceError(
                f"cannot reach the object store at {self._endpoint}: {error}",
                "`make status` shows what runs, `make up` starts it",
            ) from None


def to_json_line(value: object) -> bytes:
    """``value`` as one line of JSON, which is how Trino reads it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
