"""The job's checkpoints in its bucket."""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from streaming.errors import StreamingError
from streaming.settings import JobSettings

METADATA = "/_metadata"


class Checkpoints:
    """Those under one prefix of the bucket.

    A method raises StreamingError when MinIO cannot be reached, or refuses.
    """

    def __init__(self, settings: JobSettings, prefix: str) -> None:
        self.bucket, self.prefix = settings.flink_bucket, prefix
        self._client: Any = get_session().create_client(
            "s3",
            endpoint_url=settings.s3_endpoint,
            region_name=settings.s3_region,
            aws_access_key_id=settings.flink_s3_access_key,
            aws_secret_access_key=settings.flink_s3_secret_key.get_secret_value(),
        )

    def uri(self, path: str) -> str:
        return f"s3://{self.bucket}/{path}"

    def newest(self) -> str | None:
        """The folder of the newest complete checkpoint: only such a one has metadata."""
        complete = [
            (entry["LastModified"], entry["Key"])
            for entry in self._entries()
            if entry["Key"].endswith(METADATA)
        ]
        return self.uri(max(complete)[1].removesuffix(METADATA)) if complete else None

    def forget_others(self, kept: str | None) -> None:
        """Delete what earlier runs of the job left, apart from the checkpoint that is taken."""
        folder = "" if kept is None else f"{kept.removeprefix(self.uri(''))}/"
        keys = [entry["Key"] for entry in self._entries()]
        try:
            for key in keys:
                if not (folder and key.startswith(folder)):
                    self._client.delete_object(Bucket=self.bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None

    def _entries(self) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2")
        try:
            return [
                entry
                for page in pages.paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
                for entry in page.get("Contents", [])
            ]
        except (BotoCoreError, ClientError) as error:
            raise unavailable(error) from None


def unavailable(error: Exception) -> StreamingError:
    return StreamingError(f"checkpoints in MinIO: {error}", "`make status` shows what runs")
