"""The example against the writer's corpus, and against itself: python3 -m unittest"""

import gzip
import json
import pathlib
import sqlite3
import unittest
import uuid
from datetime import date, datetime, time, timezone
from decimal import Decimal

from botocore.exceptions import ClientError

from nightdrop_producer import Refused, cell, drop

CORPUS = json.loads((pathlib.Path(__file__).parents[2] / "schema/v1/corpus.json").read_text("utf-8"))

# How the corpus's texts become Python's values. Where SQLite has text, text it is.
SOURCE = {
    "bool": {"true": True, "false": False}.__getitem__,
    "int64": int,
    "decimal": Decimal,
    "float64": float,
    "string": str,
    "bytes": bytes.fromhex,
    "date": str,
    "time": str,
    "timestamp": str,
    "timestamptz": str,
    "uuid": uuid.UUID,
    "json": str,
}

# What this example does not check before it sends, since the consumer does, by name.
LEFT_TO_THE_CONSUMER = {
    ("decimal", "1e131072"),
    ("decimal", "1e-16384"),
    ("json", "[1e131072]"),
    ("date", "-4713-11-23"),
    ("date", "+5874898-01-01"),
}


def reads_as(kind, text):
    """A cell's JSON as a reader understands it: floats are doubles, all other numbers their digits."""
    value = json.loads(text, parse_int=str, parse_float=str)
    if value is not None and kind == "float64":
        return repr(float(value))
    if value is not None and kind == "decimal":
        return Decimal(value).as_tuple()
    return value


class Bucket:
    """Takes the PUT as boto3's client does, and answers as told."""

    def __init__(self, status=200):
        self.status = status

    def put_object(self, **request):
        self.request = {**request, "Body": request["Body"].read()}
        if self.status != 200:
            raise ClientError({"ResponseMetadata": {"HTTPStatusCode": self.status}}, "PutObject")

    def message(self):
        return json.loads(gzip.decompress(self.request["Body"]))


def drop_rows(rows, columns, s3, **more):
    as_of = datetime(2013, 1, 31, 5, 0, 0, 250000, timezone.utc)
    return drop(iter(rows), columns, producer="jfk", job="departures", bucket="b", s3=s3, as_of=as_of, **more)


class Cells(unittest.TestCase):
    def test_every_value_of_the_corpus_is_written_as_it_says(self):
        for row in CORPUS["write"]:
            kind, value = row["type"], row["value"]
            with self.subTest(type=kind, value=value):
                text = cell(kind, value if value is None else SOURCE[kind](value))
                allowed = [reads_as(kind, json_text) for json_text in (row["json"], *row.get("or", []))]
                self.assertIn(reads_as(kind, text), allowed)

    def test_what_the_corpus_refuses_is_refused(self):
        for row in CORPUS["refuse"]:
            kind, value = row["type"], row["value"]
            # A float64 that overflows was an infinity in Python before it came here.
            if kind == "float64" or (kind, value) in LEFT_TO_THE_CONSUMER:
                continue
            with self.subTest(type=kind, value=value):
                try:
                    value = SOURCE[kind](value)
                except (ArithmeticError, KeyError, ValueError):
                    pass  # Python has no such value: it stays the text that it is
                with self.assertRaises((TypeError, ValueError)):
                    cell(kind, value)

    def test_python_s_own_dates_and_times_are_written_in_iso_8601(self):
        new_york = datetime.fromisoformat("2013-01-31T00:17:00.250000-05:00")
        self.assertEqual(cell("date", date(2013, 1, 31)), '"2013-01-31"')
        self.assertEqual(cell("time", time(5, 17, 0, 1)), '"05:17:00.000001"')
        self.assertEqual(cell("timestamp", datetime(2013, 1, 31, 5, 17)), '"2013-01-31T05:17:00"')
        self.assertEqual(cell("timestamptz", new_york), '"2013-01-31T05:17:00.250000+00:00"')
        for kind, value in [("timestamp", new_york), ("timestamptz", datetime(2013, 1, 31)), ("date", new_york),
                            ("time", time(5, tzinfo=timezone.utc))]:
            with self.assertRaises(TypeError):
                cell(kind, value)

    def test_no_value_is_bent_into_another_type(self):
        for kind, value in [("int64", 1545.0), ("int64", True), ("int64", "1545"), ("decimal", 0.1), ("float64", 1),
                            ("float64", Decimal("0.1")), ("bool", 2), ("bool", 1.0), ("string", 7), ("string", b"x"),
                            ("bytes", "AAAA"), ("json", {"a": 0.1}), ("uuid", 7), ("varchar", "x")]:
            with self.subTest(type=kind, value=value), self.assertRaises((TypeError, ValueError)):
                cell(kind, value)


class Messages(unittest.TestCase):
    def test_a_result_is_one_message_under_a_key_that_agrees_with_it(self):
        s3 = Bucket()
        key, count = drop_rows([("UA", 1545), ("AA", None)], {"carrier": "string", "flight": "int64"}, s3)
        message = s3.message()
        self.assertEqual(key, f"inbox/jfk/departures/20130131T050000Z-{message['id']}.json.gz")
        self.assertEqual((s3.request["Key"], s3.request["Bucket"], s3.request["IfNoneMatch"]), (key, "b", "*"))
        self.assertEqual((message["source"], message["subject"], message["time"]),
                         ("jfk", "departures", "2013-01-31T05:00:00.250000Z"))
        self.assertEqual(message["data"], {
            "mode": "append",
            "columns": [{"name": "carrier", "type": "string"}, {"name": "flight", "type": "int64"}],
            "rows": [["UA", 1545], ["AA", None]],
            "row_count": 2,
        })
        self.assertEqual(count, 2)

    def test_members_stand_in_the_order_that_a_stream_needs(self):
        s3 = Bucket()
        drop_rows([(1,)], {"n": "int64"}, s3, mode="upsert", primary_key=["n"])
        message = s3.message()
        self.assertEqual(list(message)[-1], "data")
        self.assertEqual(list(message["data"]), ["mode", "columns", "primary_key", "rows", "row_count"])

    def test_an_empty_result_is_a_result(self):
        s3 = Bucket()
        drop_rows([], {"n": "int64"}, s3)
        self.assertEqual((s3.message()["data"]["rows"], s3.message()["data"]["row_count"]), ([], 0))

    def test_two_runs_have_two_ids(self):
        self.assertNotEqual(drop_rows([], {"n": "int64"}, Bucket())[0], drop_rows([], {"n": "int64"}, Bucket())[0])

    def test_a_bad_value_is_named_and_nothing_is_sent(self):
        s3 = Bucket()
        with self.assertRaisesRegex(Refused, r"^row 1, column n \(int64\): 0\.5 is no int64$"):
            drop_rows([(1,), (0.5,)], {"n": "int64"}, s3)
        with self.assertRaisesRegex(Refused, "^row 0: 2 values for 1 columns$"):
            drop_rows([(1, 2)], {"n": "int64"}, s3)
        self.assertFalse(hasattr(s3, "request"))

    def test_a_query_that_breaks_half_way_sends_nothing(self):
        def rows():
            yield (1,)
            raise sqlite3.OperationalError("disk I/O error")

        s3 = Bucket()
        with self.assertRaises(sqlite3.OperationalError):
            drop_rows(rows(), {"n": "int64"}, s3)
        self.assertFalse(hasattr(s3, "request"))

    def test_a_key_that_is_there_already_is_ours_and_other_answers_are_errors(self):
        drop_rows([], {"n": "int64"}, Bucket(status=412))
        with self.assertRaises(ClientError):
            drop_rows([], {"n": "int64"}, Bucket(status=403))


if __name__ == "__main__":
    unittest.main()
