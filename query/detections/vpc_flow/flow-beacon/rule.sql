/* ---
id: flow-beacon
title: "Beacon: connections at regular intervals"
status: stable
author: logq
level: medium
description: |
    An internal host opens connections to one outside address again and again, at regular intervals
    and with much the same size. Records of one connection are joined first: a flow record is a
    window of 60 or 600 seconds, so a long connection alone would look perfectly regular.
    
    The score has four parts between 0 and 1: how even the intervals are (their median absolute
    deviation, and the symmetry of their quartiles for a third), the same for the bytes sent, how much
    of the time it lasted, and how evenly the connections fill that time; they weigh 40, 30, 15 and 15. Intervals shorter than two windows are
    not seen exactly and lower the score.
tags:
  - attack.command-and-control
  - attack.t1071
  - attack.t1571
tables: [vpc_flow]
parameters:
  score:
    default: 0.78
    doc: "Least score, 0 to 1. The labelled beacon of a recorded bot scores 0.95; how low ordinary browsing stays was not measured."
  sessions:
    default: 12
    doc: "Least connections: fewer have no rhythm."
  gap:
    default: 130 seconds
    doc: "Records of one client port with smaller gaps are one connection: twice the shorter window and some slack."
  lasting:
    default: 30 minutes
    doc: "Least time from first to last connection."
  hosts:
    default: 0.5
    doc: "Share of internal hosts that talk to the same address from which on it is common and the score is lowered by 0.15."
summary: "{src} opened {sessions_seen} connections to {dst} port {dst_port}, one each {interval} s (half of them within {jitter} s of it), about {size} bytes each; score {points}: intervals {even}, size {alike}, duration {lasted}, spread {filled}; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND dst_port = {dst_port} AND protocol = {protocol} AND action = 'ACCEPT' AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Agents, update checks and telemetry; give their addresses a place in your own copy of the rule."
--- */
WITH records AS (
  SELECT {SRC} AS src, {DST} AS dst, dst_port, protocol, src_port, event_time, max(bytes) AS bytes, count(*) AS records,
    min(account_id) AS account_id, min(region) AS region
  FROM vpc_flow
  WHERE {TIME} AND action = 'ACCEPT' AND protocol IN (6, 17) AND dst_port NOT IN (53, 123) AND {TO_SERVER}
    AND is_private({SRC}) AND NOT is_private({DST}) AND pkt_dst_aws_service IS NULL
    AND NOT cidr_contains('224.0.0.0/4', {DST}) AND NOT cidr_contains('ff00::/8', {DST}) AND {DST} <> '255.255.255.255'
  GROUP BY {SRC}, {DST}, dst_port, protocol, src_port, event_time
), joined AS (
  SELECT *, CASE WHEN event_time - lag(event_time) OVER same <= INTERVAL {gap} THEN 0 ELSE 1 END AS begins FROM records
  WINDOW same AS (PARTITION BY src, dst, dst_port, protocol, src_port ORDER BY event_time)
), numbered AS (
  SELECT *, sum(begins) OVER (PARTITION BY src, dst, dst_port, protocol, src_port ORDER BY event_time) AS number FROM joined
), sessions AS (
  SELECT src, dst, dst_port, protocol, start, sum(bytes) AS bytes, sum(records) AS records, max(last_seen) AS last_seen,
    min(account_id) AS account_id, min(region) AS region FROM (
    SELECT src, dst, dst_port, protocol, src_port, number, min(event_time) AS start, max(event_time) AS last_seen, sum(bytes) AS bytes,
      sum(records) AS records, min(account_id) AS account_id, min(region) AS region
    FROM numbered GROUP BY src, dst, dst_port, protocol, src_port, number)
  GROUP BY src, dst, dst_port, protocol, start
), spaced AS (
  SELECT *, CAST(extract(epoch FROM start) AS DOUBLE) - lag(CAST(extract(epoch FROM start) AS DOUBLE)) OVER (PARTITION BY src, dst, dst_port, protocol ORDER BY start) AS pause,
    date_bin(INTERVAL '1 hour', start) AS hour FROM sessions
), whole AS (
  SELECT CAST(extract(epoch FROM max(start)) - extract(epoch FROM min(start)) AS DOUBLE) AS seconds, count(DISTINCT src) AS hosts FROM sessions
), common AS (
  SELECT dst, count(DISTINCT src) AS hosts FROM sessions GROUP BY dst
), middle AS (
  SELECT src, dst, dst_port, protocol, count(*) AS sessions_seen, sum(records) AS records, min(start) AS first_seen, max(last_seen) AS last_seen,
    CAST(extract(epoch FROM max(start)) - extract(epoch FROM min(start)) AS DOUBLE) AS seconds,
    percentile_cont(0.25) WITHIN GROUP (ORDER BY pause) AS p1, percentile_cont(0.5) WITHIN GROUP (ORDER BY pause) AS p2, percentile_cont(0.75) WITHIN GROUP (ORDER BY pause) AS p3,
    percentile_cont(0.25) WITHIN GROUP (ORDER BY CAST(bytes AS DOUBLE)) AS b1, percentile_cont(0.5) WITHIN GROUP (ORDER BY CAST(bytes AS DOUBLE)) AS b2, percentile_cont(0.75) WITHIN GROUP (ORDER BY CAST(bytes AS DOUBLE)) AS b3,
    min(account_id) AS account_id, min(region) AS region
  FROM spaced GROUP BY src, dst, dst_port, protocol
  HAVING count(*) >= {sessions} AND max(start) - min(start) >= INTERVAL {lasting}
), filled AS (
  SELECT s.src, s.dst, s.dst_port, s.protocol, count(DISTINCT floor((CAST(extract(epoch FROM s.start) AS DOUBLE) - CAST(extract(epoch FROM m.first_seen) AS DOUBLE)) / m.seconds * 12.0)) AS bars,
    median(abs(s.pause - m.p2)) AS pause_mad, median(abs(CAST(s.bytes AS DOUBLE) - m.b2)) AS bytes_mad
  FROM spaced s JOIN middle m ON s.src = m.src AND s.dst = m.dst AND s.dst_port = m.dst_port AND s.protocol = m.protocol
  GROUP BY s.src, s.dst, s.dst_port, s.protocol
), parts AS (
  SELECT m.*, f.pause_mad, w.seconds AS all_seconds,
    ((CASE WHEN p3 - p1 < 10 OR p2 = p1 OR p2 = p3 THEN 1.0 ELSE 1.0 - abs((p1 + p3 - 2 * p2) / (p3 - p1)) END) + 2 * greatest(0.0, (p2 - f.pause_mad) / greatest(p2, 1.0))) / 3 AS even,
    ((CASE WHEN b3 - b1 < 10 OR b2 = b1 OR b2 = b3 THEN 1.0 ELSE 1.0 - abs((b1 + b3 - 2 * b2) / (b3 - b1)) END) + 2 * greatest(0.0, (b2 - f.bytes_mad) / greatest(b2, 1.0))) / 3 AS alike,
    least(1.0, greatest(m.seconds / greatest(w.seconds, 1.0), m.seconds / 43200.0)) AS lasted,
    least(1.0, f.bars / 12.0) AS filled,
    CASE WHEN w.hosts >= 4 AND c.hosts >= {hosts} * w.hosts THEN 0.15 ELSE 0.0 END + CASE WHEN p2 < 120 THEN 0.05 ELSE 0.0 END AS less
  FROM middle m JOIN filled f ON m.src = f.src AND m.dst = f.dst AND m.dst_port = f.dst_port AND m.protocol = f.protocol
    JOIN common c ON m.dst = c.dst CROSS JOIN whole w
)
SELECT src || ' -> ' || dst || ' port ' || CAST(dst_port AS VARCHAR) AS entity, src, dst, dst_port, protocol, first_seen, last_seen, records AS "count",
  sessions_seen, round(p2, 0) AS interval, round(pause_mad, 0) AS jitter, round(b2, 0) AS size, round(0.4 * even + 0.3 * alike + 0.15 * lasted + 0.15 * filled - less, 2) AS points,
  round(even, 2) AS even, round(alike, 2) AS alike, round(lasted, 2) AS lasted, round(filled, 2) AS filled, account_id, region
FROM parts
WHERE 0.4 * even + 0.3 * alike + 0.15 * lasted + 0.15 * filled - less >= {score} AND p2 >= 5
ORDER BY points DESC, entity
