"""What every peer has to do around its own way of loading: find the results, and delete what it has loaded."""

import os

import boto3
from botocore.config import Config

ENDPOINT = os.environ["BENCH_ENDPOINT"]
BUCKET = os.environ["BENCH_BUCKET"]
POSTGRES = os.environ.get("BENCH_POSTGRES", "")
SCHEMA, TABLE = os.environ.get("BENCH_TABLE", ".").split(".")
# name=type, in the message's types: what a person who sets such a tool up would tell it.
COLUMNS = dict(column.split("=") for column in os.environ["BENCH_COLUMNS"].split(","))


def client(connections=10):
    config = Config(max_pool_connections=connections, s3={"addressing_style": "path"})
    return boto3.client("s3", endpoint_url=ENDPOINT, config=config)


def keys(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="inbox/")
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def delete(s3, keys):
    for start in range(0, len(keys), 1000):
        objects = [{"Key": key} for key in keys[start : start + 1000]]
        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            raise SystemExit(f"not deleted: {answer['Errors'][:3]}")
