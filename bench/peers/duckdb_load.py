"""DuckDB reads the objects and writes to Postgres by itself; the script around it lists and deletes."""

import importlib.resources
import os
from urllib.parse import urlsplit

import duckdb

import inbox

TYPES = {
    "bool": "BOOLEAN", "int64": "BIGINT", "decimal": "VARCHAR", "float64": "DOUBLE", "string": "VARCHAR", "date": "DATE",
    "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ", "uuid": "UUID", "json": "JSON",
}  # fmt: skip


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def main():
    s3 = inbox.client()
    keys = inbox.keys(s3)
    db = duckdb.connect()
    for name in ["httpfs", "postgres_scanner"]:
        package = importlib.resources.files(f"duckdb_extension_{name}")
        db.load_extension(str(package / f"extensions/v{duckdb.__version__}/{name}.duckdb_extension"))
    db.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID {quoted(os.environ["AWS_ACCESS_KEY_ID"])},
                SECRET {quoted(os.environ["AWS_SECRET_ACCESS_KEY"])}, REGION {quoted(os.environ["AWS_REGION"])},
                ENDPOINT {quoted(urlsplit(inbox.ENDPOINT).netloc)}, URL_STYLE 'path', USE_SSL false)"""
    )
    db.execute(f"ATTACH {quoted(inbox.POSTGRES)} AS reports (TYPE postgres)")
    if not keys:
        return
    if len(keys) > 100:
        # It waits for the network with as many threads as it has; by itself it takes one for each processor.
        db.execute("SET threads = 32")
    columns = ", ".join(f"{quoted(name)}: {quoted(TYPES[ty])}" for name, ty in inbox.COLUMNS.items())
    files = ", ".join(quoted(f"s3://{inbox.BUCKET}/{key}") for key in keys)
    names = ", ".join(f'"{name}"' for name in inbox.COLUMNS)
    db.execute(
        f"""INSERT INTO reports.{inbox.SCHEMA}.{inbox.TABLE} ({names})
            SELECT {names} FROM read_json([{files}], format = 'newline_delimited', columns = {{{columns}}})"""
    )
    inbox.delete(s3, keys)


main()
