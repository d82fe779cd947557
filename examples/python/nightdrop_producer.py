"""Runs a query and drops its result into a Nightdrop bucket: standard library and boto3 only.

As a program it reads SQLite; `drop` takes the cursor of any DB-API driver. The contract is
docs/message-format.md. Every value arrives as it was in the source, or `Refused` says which
one does not fit its column: nothing here rounds, guesses or shortens.
"""

import argparse
import base64
import gzip
import json
import re
import sqlite3
import sys
import tempfile
import uuid
from datetime import date, datetime, time, timezone
from decimal import Decimal

import boto3
from botocore.exceptions import BotoCoreError, ClientError

DAY = r"([0-9]{4}|[+-][0-9]{4,7})-[0-9]{2}-[0-9]{2}"
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6}0*)?"
# How these types look as text, which is all that SQLite has for them.
TEXT = {
    "decimal": r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|-?Infinity",
    "date": f"{DAY}|-?infinity",
    "time": CLOCK,
    "timestamp": f"{DAY}T{CLOCK}|-?infinity",
    "timestamptz": f"{DAY}T{CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})|-?infinity",
}


class Refused(Exception):
    """A value that its column cannot hold exactly, and where it is."""


def cell(kind, value):
    """The JSON text of a value in a column of type `kind`; TypeError or ValueError if it is none."""
    if value is None:
        return "null"
    # In Python True is an int; in SQLite and MySQL it is the int 1.
    if kind == "bool" and isinstance(value, int) and value in (0, 1):
        return "true" if value else "false"
    if kind == "int64" and type(value) is int and -(2**63) <= value < 2**63:
        return str(value)
    if kind == "float64" and type(value) is float:
        # repr is the shortest text that reads as the same double, but for what JSON has no word.
        return {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}.get(repr(value), repr(value))
    if kind == "string" and type(value) is str:
        return quoted(value)
    if kind == "bytes" and isinstance(value, (bytes, bytearray, memoryview)):
        return quoted(base64.b64encode(value).decode())
    if kind == "uuid":
        return quoted(str(uuid.UUID(str(value))))
    if kind == "json" and type(value) is str:
        # The source's own text goes in as it is, so that numbers keep all their digits: ask the
        # database for text (in Postgres: column::text), not for what the driver makes of it.
        quoted(json.loads(value, object_pairs_hook=unique, parse_constant=refuse, parse_int=str, parse_float=str))
        if value.strip() == "null":
            raise ValueError("the JSON null would arrive as the null of SQL")
        return value
    if kind in TEXT:
        text = as_text(kind, value)
        if re.fullmatch(TEXT[kind], text):
            if re.match(r"[0-9]{4}-", text):
                date.fromisoformat(text[:10])  # 30 February; years beyond 9999 are the consumer's to check
            return quoted(text)
    raise TypeError(f"{value!r} is no {kind}")


def as_text(kind, value):
    if type(value) is str:
        return value.replace(" ", "T", 1) if kind.startswith("timestamp") else value
    # No float is a decimal here: its digits would not be those of the source.
    if kind == "decimal" and type(value) in (Decimal, int):
        return str(value)
    if kind == "timestamptz" and type(value) is datetime and value.tzinfo:
        return value.astimezone(timezone.utc).isoformat()
    if type(value) is {"date": date, "time": time, "timestamp": datetime}.get(kind) and not getattr(value, "tzinfo", None):
        return value.isoformat()
    raise TypeError(f"{value!r} is no {kind}")


def quoted(value):
    """As JSON; ValueError for what Postgres's text cannot hold."""
    text = json.dumps(value, ensure_ascii=False)
    text.encode()  # half a surrogate pair is no UTF-8
    if re.search(r"(?<!\\)(\\\\)*\\u0000", text):
        raise ValueError("U+0000 in a text")
    return text


def unique(members):
    if len(dict(members)) < len(members):
        raise ValueError("an object has two members of one name")
    return dict(members)


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def drop(cursor, columns, *, producer, job, bucket, s3, as_of, mode="append", primary_key=None):
    """Drops what `cursor` yields, and returns the key and the number of rows.

    `columns` maps names to types, in the query's order. `as_of` is the source's clock just
    before the query's snapshot began: the consumer orders results by it.
    """
    # A new id for each run: (producer, id) is what the consumer loads exactly once.
    run = str(uuid.uuid4())
    as_of = as_of.astimezone(timezone.utc)
    key = f"inbox/{producer}/{job}/{as_of:%Y%m%dT%H%M%SZ}-{run}.json.gz"
    envelope = {
        "specversion": "1.0",
        "type": "nightdrop.result.v1",
        "id": run,
        "source": producer,
        "subject": job,
        "time": f"{as_of:%Y-%m-%dT%H:%M:%S.%fZ}",
    }
    data = {"mode": mode, "columns": [{"name": name, "type": kind} for name, kind in columns.items()]}
    if primary_key:
        data["primary_key"] = primary_key
    # The whole message is on disk before its first byte is sent: a query that breaks half-way
    # drops nothing, and memory does not grow with the result.
    with tempfile.TemporaryFile() as file:
        with gzip.open(file, "wt", encoding="utf-8", newline="\n") as out:
            # The consumer reads a stream: data is last, and in it rows, but for their count.
            out.write(f'{json.dumps(envelope)[:-1]}, "data": {json.dumps(data)[:-1]}, "rows": [')
            count = 0
            for row in cursor:
                out.write(",\n" if count else "\n")
                out.write(f"[{', '.join(cells(count, row, columns))}]")
                count += 1
            out.write(f'\n], "row_count": {count}}}}}\n')
        file.seek(0)
        put(s3, bucket, key, file)
    return key, count


def cells(number, row, columns):
    if len(row) != len(columns):
        raise Refused(f"row {number}: {len(row)} values for {len(columns)} columns")
    for (name, kind), value in zip(columns.items(), row):
        try:
            yield cell(kind, value)
        except (TypeError, ValueError, OverflowError) as error:
            raise Refused(f"row {number}, column {name} ({kind}): {error}") from error


def put(s3, bucket, key, file):
    """One create-only PUT, for which s3:PutObject on the producer's own prefix is enough.

    Not upload_file: for a large file that makes a multipart upload, which needs more rights.
    """
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=file, IfNoneMatch="*")
    except ClientError as error:
        # boto3 tries again by itself. If an attempt arrived and its answer did not, the next
        # is told that the key is there. Only this run makes keys with its id: all is well.
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
            raise


def main():
    parser = argparse.ArgumentParser(description="Drops the result of a query on SQLite into a Nightdrop bucket.")
    parser.add_argument("--producer", required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--endpoint", help="the S3 server, unless it is AWS")
    parser.add_argument("--mode", default="append", choices=["append", "replace", "upsert"])
    parser.add_argument("--primary-key", nargs="+", metavar="COLUMN")
    parser.add_argument("--column", action="append", required=True, metavar="NAME:TYPE", help="each one, in order")
    parser.add_argument("database")
    parser.add_argument("query")
    given = parser.parse_args()
    # Credentials come from where boto3 looks for them, never from the command line.
    s3 = boto3.client("s3", endpoint_url=given.endpoint)
    as_of = datetime.now(timezone.utc)
    try:
        database = sqlite3.connect(f"file:{given.database}?mode=ro", uri=True)
        key, count = drop(database.execute(given.query), dict(column.rsplit(":", 1) for column in given.column),
                          producer=given.producer, job=given.job, bucket=given.bucket, s3=s3, as_of=as_of,
                          mode=given.mode, primary_key=given.primary_key)
    except Refused as error:
        sys.exit(f"{given.job}: {error}")
    except sqlite3.Error as error:
        sys.exit(f"{given.job}: {given.database}: {error}")
    except ClientError as error:
        sys.exit(f"{given.job}: the bucket refused the result: {error}")
    except BotoCoreError as error:
        sys.exit(f"{given.job}: the bucket did not answer: {error}")
    print(f"{key}: {count} rows")


if __name__ == "__main__":
    main()
