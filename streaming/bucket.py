"""Flink's bucket: checkpoints, savepoints, and from where a user has the job start."""

from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from streaming.errors import StreamingError
from streaming.settings import JobSettings

METADATA = "/_metadata"


class Bucket:
    """A method raises StreamingError when MinIO cannot be reached, or refuses."""

    def __init__(self, settings: JobSettings) -> None:
        self.name = settings.flink_bucket
        self._client: Any = get_session().create_client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            region_name=settings.s3_region,
            aws_access_key_id=settings.flink_s3_access_key,
            aws_secret_access_key=settings.flink_s3_secret_key.get_secret_value(),
        )

    def uri(self, path: str) -> str:
        return f"s3://{self.name}/{path}"

    def path(self, uri: str) -> str:
        return uri.removeprefix(self.uri(""))

    def complete(self, *folders: str) -> list[str]:
        """Checkpoints and savepoints under these folders, oldest first, without what is half made.

        Only a complete one has metadata.
        """
        found = sorted(
            (entry["LastModified"], entry["Key"])
            for folder in folders
            for entry in self._entries(folder)
            if entry["Key"].endswith(METADATA)
        )
        return [self.uri(key.removesuffix(METADATA)) for _, key in found]

    def keys(self, folder: str) -> list[str]:
        return [entry["Key"] for entry in self._entries(folder)]

    def get(self, key: str) -> bytes | None:
        """None if there is no such object."""
        try:
            content: bytes = self._client.get_object(Bucket=self.name, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            return None
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None
        return content

    def put(self, key: str, content: bytes) -> None:
        try:
            self._client.put_object(Bucket=self.name, Key=key, Body=content)
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None

    def delete(self, keys: Iterable[str]) -> None:
        try:
            for key in keys:
                self._client.delete_object(Bucket=self.name, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        try:
            return [
                entry
                for page in pages.paginate(Bucket=self.name, Prefix=f"{folder}/")
                for entry in page.get("Contents", [])
            ]
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None


def unavailable(error: Exception) -> StreamingError:
    return StreamingError(f"Flink's bucket in MinIO: {error}", "`make status` shows what runs")
