"""Reads tables of a lake with four independent readers.

Usage: tables.py LAKE TABLE...    LAKE is a directory or an s3:// URL; AWS_* say where S3 is.
Prints `reader table rows checksum` per line, and `protocol table reader writer`. The checksum is of
identity, time and partition of every row, whatever their order.
"""

import datetime
import glob
import hashlib
import os
import sys
import sysconfig
from urllib.parse import urlsplit

import duckdb
import polars
import pyarrow
import pyarrow.dataset
import pyarrow.fs
from deltalake import DeltaTable

# Days of bookkeeping rows are days of the clock: two lakes with the same input may differ in them.
OWN_DAY = {"rejected": ["event_uid", "reason"], "ingest": ["object_id", "records", "rows", "rejected"]}
COLUMNS = ["event_uid", "event_time", "event_date", "object_id"]

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "")
KEY, SECRET = os.environ.get("AWS_ACCESS_KEY_ID", ""), os.environ.get("AWS_SECRET_ACCESS_KEY", "")
REGION = os.environ.get("AWS_REGION", "us-east-1")


def options(lake):
    if not lake.startswith("s3://"):
        return None
    return {
        "aws_endpoint_url": ENDPOINT,
        "aws_access_key_id": KEY,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
        "aws_allow_http": "true",
    }


def with_duckdb(lake):
    connection = duckdb.connect()
    for name in ("httpfs", "delta"):
        pattern = f"duckdb_extension_{name}/extensions/*/{name}.duckdb_extension"
        (extension,) = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], pattern))
        connection.execute(f"LOAD '{extension}'")
    if lake.startswith("s3://"):
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', REGION '{REGION}',"
            f" ENDPOINT '{urlsplit(ENDPOINT).netloc}', URL_STYLE 'path', USE_SSL false)"
        )

    def read(path, columns):
        chosen = ", ".join(f"epoch_us({name}) as {name}" if name == "event_time" else name for name in columns)
        return connection.execute(f"select {chosen} from delta_scan('{path}')").fetchall()

    return read


def with_deltalake(lake):
    def read(path, columns):
        return rows(DeltaTable(path, storage_options=options(lake)).to_pyarrow_table(columns=columns))

    return read


def with_pyarrow(lake):
    """The files of the log as plain Parquet: what any engine without Delta can do."""
    if lake.startswith("s3://"):
        place = urlsplit(ENDPOINT)
        files = pyarrow.fs.S3FileSystem(
            access_key=KEY, secret_key=SECRET, region=REGION, scheme=place.scheme, endpoint_override=place.netloc
        )
    else:
        files = pyarrow.fs.LocalFileSystem()

    def read(path, columns):
        root = path.removeprefix("s3://")
        # `event_date` is in the path alone.
        days = pyarrow.dataset.partitioning(pyarrow.schema([("event_date", pyarrow.date32())]), flavor="hive")
        names = [f"{root}/{name}" for name in DeltaTable(path, storage_options=options(lake)).get_add_actions()["path"].to_pylist()]
        dataset = pyarrow.dataset.dataset(
            names, filesystem=files, format="parquet", partitioning=days, partition_base_dir=root
        )
        return rows(dataset.to_table(columns=columns)) if names else []

    return read


def with_polars(lake):
    def read(path, columns):
        return rows(polars.scan_delta(path, storage_options=options(lake)).select(columns).collect().to_arrow())

    return read


def rows(table):
    columns = []
    for name in table.column_names:
        column = table.column(name)
        if pyarrow.types.is_timestamp(column.type):
            column = column.cast(pyarrow.timestamp("us", column.type.tz)).cast(pyarrow.int64())
        columns.append(column.to_pylist())
    return list(zip(*columns))


def text(value):
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def checksum(found):
    total = 0
    for row in found:
        digest = hashlib.sha256("|".join(map(text, row)).encode()).digest()
        total = (total + int.from_bytes(digest[:8], "big")) % (1 << 64)
    return f"{total:016x}"


def main():
    lake, tables = sys.argv[1].rstrip("/"), sys.argv[2:]
    readers = {
        "duckdb": with_duckdb(lake),
        "deltalake": with_deltalake(lake),
        "pyarrow": with_pyarrow(lake),
        "polars": with_polars(lake),
    }
    for table in tables:
        path = f"{lake}/{table}"
        protocol = DeltaTable(path, storage_options=options(lake)).protocol()
        print("protocol", table, protocol.min_reader_version, protocol.min_writer_version)
        for name, read in readers.items():
            found = read(path, OWN_DAY.get(table, COLUMNS))
            print(name, table, len(found), checksum(found))


main()
