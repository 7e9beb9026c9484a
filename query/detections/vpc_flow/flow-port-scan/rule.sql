/* ---
id: flow-port-scan
title: "Port scan: many ports of one host"
status: stable
author: logq
level: medium
description: |
    One source tried many ports of one host with a few packets each. Answers are not counted:
    only records from client to server are, and ports from 32768 up are left out because replies
    and passive protocols end there.
tags:
  - attack.discovery
  - attack.t1046
  - attack.reconnaissance
  - attack.t1595.001
tables: [vpc_flow]
parameters:
  ports:
    default: 15
    doc: "Distinct ports within the window. Hosts rarely offer more than a handful of services to one client; a scanner tries hundreds."
  packets:
    default: 12
    doc: "Most packets of a record that still looks like a probe: a refused or empty connection needs fewer."
  window:
    default: 1 hour
    doc: "Counted per window of this length. Records are aggregated over 60 or 600 seconds, so much shorter windows see nothing."
summary: "{src} tried {ports_seen} ports of {dst} ({lowest_port} to {highest_port}) with at most {packets} packets each; {rejected} of {count} records were rejected"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND protocol IN (6, 17)
    AND dst_port < 32768 AND packets <= {packets} AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Vulnerability scanners and monitoring run by yourselves."
  - "A load balancer checking many dynamic ports of one host."
--- */
WITH probes AS (
  SELECT {SRC} AS src, {DST} AS dst, dst_port, event_time, action, account_id, region
  FROM vpc_flow
  WHERE {TIME} AND protocol IN (6, 17) AND dst_port < 32768 AND packets <= {packets} AND {TO_SERVER}
), windows AS (
  SELECT src, dst, date_bin(INTERVAL {window}, event_time) AS bin, count(DISTINCT dst_port) AS ports_seen
  FROM probes GROUP BY src, dst, date_bin(INTERVAL {window}, event_time)
  HAVING count(DISTINCT dst_port) >= {ports}
), suspects AS (
  SELECT src, dst, date_trunc('day', bin) AS day, max(ports_seen) AS ports_seen FROM windows GROUP BY src, dst, date_trunc('day', bin)
)
SELECT p.src || ' -> ' || p.dst AS entity, p.src, p.dst, min(p.event_time) AS first_seen, max(p.event_time) AS last_seen,
  count(*) AS "count", max(s.ports_seen) AS ports_seen, min(p.dst_port) AS lowest_port, max(p.dst_port) AS highest_port,
  sum(CASE WHEN p.action = 'REJECT' THEN 1 ELSE 0 END) AS rejected, min(p.account_id) AS account_id, min(p.region) AS region
FROM probes p JOIN suspects s ON p.src = s.src AND p.dst = s.dst AND date_trunc('day', p.event_time) = s.day
GROUP BY p.src, p.dst, s.day
ORDER BY "count" DESC, entity
