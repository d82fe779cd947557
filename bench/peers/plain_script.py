"""The script that most begin with: one object after another, its rows inserted, committed, the object deleted."""

import json

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

import inbox


def cell(value):
    return Jsonb(value) if isinstance(value, (dict, list)) else value


def main():
    s3 = inbox.client()
    with psycopg.connect(inbox.POSTGRES) as postgres:
        for key in inbox.keys(s3):
            body = s3.get_object(Bucket=inbox.BUCKET, Key=key)["Body"].read()
            data = json.loads(body)["data"]
            names = [column["name"] for column in data["columns"]]
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(inbox.SCHEMA, inbox.TABLE),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join(sql.Placeholder() * len(names)),
            )
            rows = ([cell(value) for value in row] for row in data["rows"])
            postgres.cursor().executemany(insert, rows)
            postgres.commit()
            s3.delete_object(Bucket=inbox.BUCKET, Key=key)


main()
