/* ---
id: flow-lateral-movement
title: "Remote administration of many internal hosts"
status: stable
author: logq
level: medium
description: |
    One internal host opened real sessions on administration ports (SSH, RDP, SMB, WinRM, RPC) of many
    other internal hosts within a short time.
tags:
  - attack.lateral-movement
  - attack.t1021
  - attack.t1570
tables: [vpc_flow]
parameters:
  hosts:
    default: 8
    doc: "Distinct hosts within the window. People work on a few; what reaches more is automation or an intruder."
  packets:
    default: 8
    doc: "Least packets of a record: a session, not a probe."
  window:
    default: 1 hour
    doc: "Intruders move on within minutes."
summary: "{src} opened sessions on administration ports of {hosts_seen} internal hosts within {window}; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND is_private({DST}) AND protocol = 6 AND dst_port IN (22, 135, 139, 445, 3389, 5985, 5986)
    AND action = 'ACCEPT' AND packets >= {packets} AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Configuration management, bastions and backup servers."
--- */
WITH work AS (
  SELECT {SRC} AS src, {DST} AS dst, event_time, account_id, region FROM vpc_flow
  WHERE {TIME} AND protocol = 6 AND dst_port IN (22, 135, 139, 445, 3389, 5985, 5986) AND action = 'ACCEPT' AND packets >= {packets}
    AND {TO_SERVER} AND is_private({SRC}) AND is_private({DST})
), suspects AS (
  SELECT src, date_trunc('day', bin) AS day, max(hosts_seen) AS hosts_seen FROM (
    SELECT src, date_bin(INTERVAL {window}, event_time) AS bin, count(DISTINCT dst) AS hosts_seen
    FROM work GROUP BY src, date_bin(INTERVAL {window}, event_time) HAVING count(DISTINCT dst) >= {hosts})
  GROUP BY src, date_trunc('day', bin)
)
SELECT w.src AS entity, w.src, min(w.event_time) AS first_seen, max(w.event_time) AS last_seen, count(*) AS "count",
  max(s.hosts_seen) AS hosts_seen, min(w.account_id) AS account_id, min(w.region) AS region
FROM work w JOIN suspects s ON w.src = s.src AND date_trunc('day', w.event_time) = s.day
GROUP BY w.src, s.day
ORDER BY "count" DESC, entity
