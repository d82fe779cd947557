"""dlt: its SQL source by way of Arrow, which is its fast one, and its filesystem destination, as JSONL."""

import os

import dlt
from dlt.sources.sql_database import sql_table

import inbox

DRIVERS = {"postgres://": "postgresql+psycopg2://", "mysql://": "mysql+pymysql://", "sqlite://": "sqlite:///"}


def source():
    url = os.environ["BENCH_SOURCE"]
    scheme = next(scheme for scheme in DRIVERS if url.startswith(scheme))
    return DRIVERS[scheme] + url.removeprefix(scheme)


def main():
    rows = sql_table(
        source(),
        table=os.environ["BENCH_FROM"],
        backend=os.environ.get("BENCH_BACKEND", "pyarrow"),
        chunk_size=50_000,
        reflection_level="full",
    )
    bucket = dlt.destinations.filesystem(
        f"s3://{inbox.BUCKET}/inbox/jfk",
        credentials={
            "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint_url": inbox.ENDPOINT,
            "region_name": os.environ["AWS_REGION"],
        },
    )
    pipeline = dlt.pipeline(
        "bench", destination=bucket, dataset_name="departures", pipelines_dir=os.environ["BENCH_FOLDER"]
    )
    pipeline.run(rows, write_disposition="append", loader_file_format="jsonl").raise_on_failed_jobs()


main()
