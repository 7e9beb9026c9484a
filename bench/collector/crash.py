#!/usr/bin/env python3
"""Kills during a backfill: crash.py BINARY [--mb 200 | --pods DIR] [--kills N] [--seed S]

Generates container logs (bench.py's), kills the collector with SIGKILL at random moments while it reads them, lets it
finish, and compares every record in the landing objects with the logs, put together here from their `P` and `F`
lines. Exit code 1 when one is missing or there twice. Stack traces stay single lines (multiline is off).
"""
import argparse, collections, glob, hashlib, json, os, random, subprocess, sys, tempfile, time
import bench


def digest(text):
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def expected(pods):
    records = collections.Counter()
    for path in glob.glob(f"{pods}/*/*/0.log"):
        parts = {}
        with open(path, encoding="utf-8") as log:
            for line in log:
                _, stream, tag, content = line.rstrip("\n").split(" ", 3)
                parts[stream] = parts.get(stream, "") + content
                if tag == "F":
                    records[digest(parts.pop(stream))] += 1
    return records


def arrived(out):
    records, identities, doubled = collections.Counter(), set(), 0
    for path in glob.glob(f"{out}/**/*.jsonl.zst", recursive=True):
        unpacked = subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE, encoding="utf-8")
        streams = {}
        for line in unpacked.stdout:
            record = json.loads(line)
            if "stream" in record:
                streams[record["stream"]] = record["id"]
            elif "s" in record:
                identity = hash((streams[record["s"]], record["o"]))
                doubled += identity in identities
                identities.add(identity)
                records[digest(record["b"])] += 1
        if unpacked.wait() != 0:
            sys.exit(f"{path}: damaged")
    return records, doubled


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("--mb", type=int, default=200)
    options.add_argument("--pods", help="existing pods directory to read instead of generating one")
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="logq-crash-") as work:
        pods = options.pods or f"{work}/pods"
        if not options.pods:
            bench.generate(pods, options.mb)
        size = sum(os.path.getsize(path) for path in glob.glob(f"{pods}/*/*/0.log"))
        command = bench.collector(options.binary, work, pods, "file", None, until_idle=False)
        # Landing objects are about a tenth of the logs: kill when so much of it is there.
        written = lambda: sum(os.path.getsize(path) for path in glob.glob(f"{work}/data/**/*", recursive=True) + glob.glob(f"{work}/out/**/*.zst", recursive=True) if os.path.isfile(path))
        kills = 0
        for share in sorted(rng.uniform(0.01, 0.6) for _ in range(options.kills)):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.time() + rng.uniform(0.2, 2.0)
            while written() < share * size / 8 and time.time() < deadline:
                time.sleep(0.005)
            process.kill()
            kills += process.wait() == -9
        subprocess.run(command + ["--until-idle", "3s"], check=True, stderr=subprocess.DEVNULL)
        records, doubled = arrived(f"{work}/out")
        wanted = expected(pods)
        lost, extra = sum((wanted - records).values()), sum((records - wanted).values())
        print(json.dumps({"mb": round(size / 1e6), "records": sum(wanted.values()), "kills": kills, "lost": lost, "doubled": doubled, "not_in_the_logs": extra}))
        sys.exit(1 if lost or doubled or extra else 0)


if __name__ == "__main__":
    main()
