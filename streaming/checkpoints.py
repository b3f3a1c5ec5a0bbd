"""The job's checkpoints in its bucket: which one counts, and what is deleted."""

from streaming.bucket import Bucket


class Checkpoints:
    """Those of a job over a topic: ``folder`` is Job.checkpoints(), "table/topic and SQL".

    Flink adds a folder for each start. A method raises StreamingError: see Bucket.
    """

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self.bucket, self.folder = bucket, folder

    @property
    def uri(self) -> str:
        return self.bucket.uri(self.folder)

    def newest(self) -> str | None:
        """The newest complete one."""
        complete = self.bucket.complete(self.folder)
        return complete[-1] if complete else None

    def forget_others(self, kept: str | None) -> None:
        """Delete what earlier starts left, apart from the one whose checkpoint is taken.

        Of that start all is kept: an incremental checkpoint consists of files of others. Those
        of a changed job, or of a topic that was made again, are deleted, too, once this job has
        a checkpoint: until then, a change that Flink does not accept can be taken back.
        """
        table = self.folder.partition("/")[0]
        start = "" if kept is None else f"{self.bucket.path(kept).rpartition('/')[0]}/"
        keys = self.bucket.keys(self.folder if kept is None else table)
        self.bucket.delete(key for key in keys if not (start and key.startswith(start)))
