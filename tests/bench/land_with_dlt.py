"""Lands the source table with dlt, as its documentation shows. Runs in .venv-bench."""

import os
import sys
import tempfile
from urllib.parse import quote

import dlt
from dlt.destinations import filesystem
from dlt.sources.sql_database import sql_table


def main(backend: str) -> None:
    env = os.environ
    source = (
        f"postgresql://{env['SOURCE_READER_USER']}:{quote(env['SOURCE_READER_PASSWORD'])}"
        f"@{env['POSTGRES_HOST']}:{env['POSTGRES_PORT']}/{env['SOURCE_DB']}"
    )
    s3 = {
        "aws_access_key_id": env["INGESTION_S3_ACCESS_KEY"],
        "aws_secret_access_key": env["INGESTION_S3_SECRET_KEY"],
        "endpoint_url": env["S3_ENDPOINT"],
        "region_name": env["S3_REGION"],
    }
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            f"bench_{backend}_{os.getpid()}",
            pipelines_dir=folder,
            destination=filesystem(f"s3://{env['BRONZE_BUCKET']}/_bench_dlt", credentials=s3),
            dataset_name=f"bench_{backend}_{os.getpid()}",
        )
        table = sql_table(source, table="loan_applications", backend=backend, chunk_size=50_000)
        pipeline.run(table, loader_file_format="parquet", write_disposition="append")


if __name__ == "__main__":
    main(sys.argv[1])
