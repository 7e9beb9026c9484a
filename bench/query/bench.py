"""How long does an analyst wait? 25 questions over one lake, with DuckDB and ClickHouse (chdb) beside logq.

The lake is made by `loggen` and `logq-processor` and sealed by nobody: the files are as ingest leaves them. The
peers read the same Parquet files. Each question runs three times; the best wall time counts (warm page cache).
`--cold` drops the page cache before each run and runs once. logq is a new process each time, start included; the
peers keep one connection and are timed around the query alone, which favours them.

Answers are compared by their number of rows; a difference ends the run.

Usage: bench.py RELEASE_FOLDER [--lake DIR] [--cold]     BENCH_EVENTS and BENCH_FLOWS set the size
"""

import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from queries import QUERIES

EVENTS = int(os.environ.get("BENCH_EVENTS", "1000000"))
FLOWS = int(os.environ.get("BENCH_FLOWS", "10000000"))
RUNS = 3


def make_lake(programs, lake):
    corpus = lake.parent / "corpus"
    subprocess.run(
        [programs / "loggen", "--out", corpus, "--cloudtrail", str(EVENTS), "--flows", str(FLOWS), "--lines", "0",
         "--hours", "720"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run([programs / "logq-processor", "once", "--lake", lake, corpus / "AWSLogs"], check=True)
    shutil.rmtree(corpus)


def drop_caches():
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


class Logq:
    name = "logq"

    def __init__(self, programs, lake):
        self.command = [str(programs / "logq"), "--lake", str(lake), "--format", "jsonl", "--limit", "0"]
        self.tables = {"c": "cloudtrail", "v": "vpc_flow"}

    def run(self, sql):
        answer = subprocess.run([*self.command, sql], capture_output=True, text=True, check=True)
        return len(answer.stdout.splitlines())


class DuckDb:
    name = "duckdb"

    def __init__(self, lake):
        import duckdb

        self.connection = duckdb.connect()
        self.connection.execute("set threads=2")
        self.tables = {
            key: f"read_parquet('{lake}/{table}/*/*.parquet', hive_partitioning=true)"
            for key, table in (("c", "cloudtrail"), ("v", "vpc_flow"))
        }

    def run(self, sql):
        return len(self.connection.execute(sql).fetchall())


class ClickHouse:
    name = "clickhouse"

    def __init__(self, lake):
        import chdb.session

        self.session = chdb.session.Session()
        self.tables = {
            key: f"file('{lake}/{table}/*/*.parquet', 'Parquet')"
            for key, table in (("c", "cloudtrail"), ("v", "vpc_flow"))
        }

    def run(self, sql):
        answer = self.session.query(f"{sql} settings max_threads=2", "JSONEachRow")
        return len(str(answer).splitlines())


def best(engine, sql, cold):
    times, rows = [], 0
    for _ in range(1 if cold else RUNS):
        if cold:
            drop_caches()
        start = time.perf_counter()
        rows = engine.run(sql)
        times.append(time.perf_counter() - start)
    return min(times), rows


def main():
    programs = pathlib.Path(sys.argv[1])
    cold = "--cold" in sys.argv
    given = sys.argv[sys.argv.index("--lake") + 1] if "--lake" in sys.argv else None
    work = None if given else pathlib.Path(tempfile.mkdtemp(prefix="logq-bench-"))
    lake = pathlib.Path(given) if given else work / "lake"
    if not lake.exists():
        make_lake(programs, lake)
    engines = [Logq(programs, lake), DuckDb(lake), ClickHouse(lake)]
    duck = engines[1]
    pick = lambda sql: duck.connection.execute(sql.format(**duck.tables)).fetchall()[0][0]
    needles = {
        "needle_ip": pick("select src_ip from {v} where src_ip is not null group by 1 order by count(*), 1 limit 1"),
        "needle_key": pick("select access_key_id from {c} where access_key_id is not null group by 1 order by count(*), 1 limit 1"),
        "needle_uid": pick("select max(event_uid) from {c}"),
        "needle_source": pick("select src_ip from {c} where src_ip is not null group by 1 order by count(*), 1 limit 1"),
    }
    print("| question | logq s | duckdb s | clickhouse s | logq / faster peer |")
    print("|---|---|---|---|---|")
    ratios, of_needles = [], []
    for title, sql, needle in QUERIES:
        found = []
        for engine in engines:
            found.append(best(engine, sql.format(**engine.tables, **needles), cold))
        counts = {rows for _, rows in found}
        if len(counts) != 1:
            sys.exit(f"{title}: the engines give {[rows for _, rows in found]} rows")
        seconds = [took for took, _ in found]
        ratio = seconds[0] / min(seconds[1:])
        ratios.append(ratio)
        if needle:
            of_needles.append(seconds[0] / seconds[1])
        print(f"| {title} | {seconds[0]:.3f} | {seconds[1]:.3f} | {seconds[2]:.3f} | {ratio:.2f} |", flush=True)
    mean = lambda values: math.exp(sum(map(math.log, values)) / len(values))
    print(f"\ngeometric mean: {mean(ratios):.2f} of the faster peer; needles {mean(of_needles):.2f} of DuckDB")
    start = time.perf_counter()
    subprocess.run([programs / "logq", "select 1"], check=True, stdout=subprocess.DEVNULL)
    print(f"`select 1`: {(time.perf_counter() - start) * 1000:.0f} ms")
    if work:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
