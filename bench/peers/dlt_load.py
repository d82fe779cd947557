"""dlt: its filesystem source, its JSONL reader, its Postgres destination; COPY from CSV files is its fastest way."""

import os

import dlt
from dlt.sources.filesystem import filesystem, read_jsonl

import inbox

TYPES = {
    "bool": "bool", "int64": "bigint", "decimal": "decimal", "float64": "double", "string": "text", "date": "date",
    "timestamp": "timestamp", "timestamptz": "timestamp", "uuid": "text", "json": "json",
}  # fmt: skip


def hint(ty):
    return {"data_type": TYPES[ty], **({"timezone": ty == "timestamptz"} if TYPES[ty] == "timestamp" else {})}


def main():
    s3 = inbox.client()
    keys = inbox.keys(s3)
    credentials = {
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": inbox.ENDPOINT,
        "region_name": os.environ["AWS_REGION"],
    }
    files = filesystem(
        f"s3://{inbox.BUCKET}/inbox/", credentials=credentials, file_glob="**/*.jsonl", extract_content=True
    )
    rows = (files | read_jsonl(chunksize=10_000)).with_name(inbox.TABLE)
    rows.apply_hints(columns={name: hint(ty) for name, ty in inbox.COLUMNS.items()})
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(inbox.POSTGRES),
        dataset_name=inbox.SCHEMA,
        pipelines_dir=os.environ["BENCH_FOLDER"],
    )
    pipeline.run(rows, write_disposition="append", loader_file_format="csv").raise_on_failed_jobs()
    inbox.delete(s3, keys)


main()
