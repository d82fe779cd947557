"""A good engineer's script: objects fetched by many threads, a thousand in one COPY and one commit, deleted in bulk
while the next thousand is on its way. Takes messages and, streamed line by line, NDJSON."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import orjson
import psycopg
from psycopg import sql

import inbox

THREADS = 32
BATCH = 1000
NAMES = list(inbox.COLUMNS)
HAS_JSON = "json" in inbox.COLUMNS.values()


def rows_of(key, body):
    if key.endswith(".jsonl"):
        for line in body.iter_lines(1 << 20):
            row = orjson.loads(line)
            yield [row[name] for name in NAMES]
        return
    data = orjson.loads(body.read())["data"]
    if [column["name"] for column in data["columns"]] != NAMES:
        raise SystemExit(f"{key}: other columns")
    yield from data["rows"]


def text(value):
    return orjson.dumps(value).decode() if isinstance(value, (dict, list)) else value


def main():
    s3 = inbox.client(THREADS)
    keys = inbox.keys(s3)
    copy_into = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(inbox.SCHEMA, inbox.TABLE), sql.SQL(", ").join(map(sql.Identifier, NAMES))
    )

    def fetch(key):
        rows = rows_of(key, s3.get_object(Bucket=inbox.BUCKET, Key=key)["Body"])
        # A single one is read while it is copied; of many, each is decoded in its thread.
        return rows if len(keys) == 1 else list(rows)

    with (
        psycopg.connect(inbox.POSTGRES) as postgres,
        ThreadPoolExecutor(THREADS) as fetchers,
        ThreadPoolExecutor(1) as deleter,
    ):
        deletions = []
        batches = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
        # The fetchers are one batch ahead.
        coming = [fetchers.submit(fetch, key) for key in keys[:BATCH]]
        for number, batch in enumerate(batches):
            following = batches[number + 1] if number + 1 < len(batches) else []
            ahead = [fetchers.submit(fetch, key) for key in following]
            results = (future.result() for future in coming)
            with postgres.cursor() as cursor, cursor.copy(copy_into) as copy:
                for row in itertools.chain.from_iterable(results):
                    copy.write_row([text(value) for value in row] if HAS_JSON else row)
            postgres.commit()
            deletions.append(deleter.submit(inbox.delete, s3, batch))
            coming = ahead
        for deletion in deletions:
            deletion.result()


main()
