#!/usr/bin/env python3
"""Kubelet-like rotation at full speed, with kills: rotate.py BINARY [--rate MB/s] [--secs S] [--kills N]

Writes numbered lines of four containers at RATE, rotates each log at 10 MB (checked every 2 s: rename, reopen,
compress the older one, keep five files), kills the collector with SIGKILL meanwhile, then lets it finish and
counts every line in the landing objects. Exit code 1 when one is missing or there twice.
"""
import argparse, collections, glob, gzip, json, os, random, re, shutil, subprocess, sys, tempfile, time

CONTAINERS, LIMIT, CHECK, KEEP, LINE = 4, 10e6, 2.0, 5, 300


def rotate(directory, log):
    for old in sorted(glob.glob(f"{directory}/0.log.*")):
        if not old.endswith((".gz", ".tmp")):
            with open(old, "rb") as plain, gzip.open(old + ".tmp", "wb", 1) as packed:
                shutil.copyfileobj(plain, packed)
            os.rename(old + ".tmp", old + ".gz")
            os.remove(old)
    for old in sorted(glob.glob(f"{directory}/0.log.*"))[:-(KEEP - 2)]:
        os.remove(old)
    os.rename(f"{directory}/0.log", f"{directory}/0.log." + time.strftime("%Y%m%d-%H%M%S"))
    log.close()
    return open(f"{directory}/0.log", "ab", buffering=0)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("--rate", type=float, default=20)
    options.add_argument("--secs", type=float, default=30)
    options.add_argument("--kills", type=int, default=3)
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="logq-rotate-") as work:
        with open(f"{work}/c.toml", "w") as out:
            out.write(f'data_dir = "{work}/data"\nnode = "n1"\nadmin.address = ""\n[sources.pods]\ntype = "kubernetes_logs"\npods_dir = "{work}/pods"\n'
                      f'[sinks.out]\ntype = "file"\ninputs = ["pods"]\npath = "{work}/out"\n')
        directories = [f"{work}/pods/load_writer-{i}_00000000-0000-4000-8000-{i:012}/app" for i in range(CONTAINERS)]
        for directory in directories:
            os.makedirs(directory)
        logs = [open(f"{directory}/0.log", "ab", buffering=0) for directory in directories]
        start = lambda: subprocess.Popen([options.binary, "run", "-c", f"{work}/c.toml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process, kills, rotations, sent = start(), 0, 0, [0] * CONTAINERS
        begin = time.time()
        kill_at = sorted(begin + rng.uniform(2, options.secs - 1) for _ in range(options.kills))
        check, tick, next_tick = begin + CHECK, 0.05, begin
        padding = "x" * (LINE - 80)
        while time.time() - begin < options.secs:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9:09}Z"
            for i, log in enumerate(logs):
                count = int(options.rate * 1e6 * tick / CONTAINERS / LINE)
                log.write("".join(f"{stamp} stdout F id={i}-{n} {padding}\n" for n in range(sent[i], sent[i] + count)).encode())
                sent[i] += count
            if time.time() >= check:
                check += CHECK
                for i, directory in enumerate(directories):
                    if os.fstat(logs[i].fileno()).st_size > LIMIT:
                        logs[i], rotations = rotate(directory, logs[i]), rotations + 1
            if kill_at and time.time() >= kill_at[0]:
                kill_at.pop(0)
                process.kill()
                process.wait()
                process, kills = start(), kills + 1
            next_tick += tick
            time.sleep(max(0, next_tick - time.time()))
        elapsed = time.time() - begin
        process.terminate()
        process.wait()
        subprocess.run([options.binary, "run", "-c", f"{work}/c.toml", "--until-idle", "7s"], check=True, stderr=subprocess.DEVNULL)
        seen = collections.Counter()
        for path in glob.glob(f"{work}/out/**/*.jsonl.zst", recursive=True):
            text = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout.decode()
            seen.update(re.findall(r'"b":"id=(\d+-\d+) ', text))
        expected = {f"{i}-{n}" for i, count in enumerate(sent) for n in range(count)}
        lost, doubled = len(expected - seen.keys()), sum(1 for count in seen.values() if count > 1)
        print(json.dumps({"asked_mb_s": options.rate, "mb_s": round(sum(sent) * LINE / elapsed / 1e6, 1), "lines": sum(sent),
                          "rotations": rotations, "kills": kills, "lost": lost, "doubled": doubled}))
        sys.exit(1 if lost or doubled else 0)


if __name__ == "__main__":
    main()
