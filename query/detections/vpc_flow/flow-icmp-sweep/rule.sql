/* ---
id: flow-icmp-sweep
title: "ICMP sweep: many hosts pinged"
status: stable
author: logq
level: low
description: |
    One source sent ICMP to many hosts within minutes: it finds out which exist.
tags:
  - attack.discovery
  - attack.t1018
  - attack.reconnaissance
  - attack.t1595.001
tables: [vpc_flow]
parameters:
  hosts:
    default: 15
    doc: "Distinct hosts within the window."
  window:
    default: 10 minutes
    doc: "A sweep of a subnet takes seconds to minutes."
summary: "{src} pinged {hosts_seen} hosts; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND protocol IN (1, 58)
  ORDER BY event_time
falsepositives:
  - "Monitoring systems."
--- */
WITH pings AS (
  SELECT {SRC} AS src, {DST} AS dst, event_time, account_id, region FROM vpc_flow WHERE {TIME} AND protocol IN (1, 58)
), windows AS (
  SELECT src, date_bin(INTERVAL {window}, event_time) AS bin, count(DISTINCT dst) AS hosts_seen
  FROM pings GROUP BY src, date_bin(INTERVAL {window}, event_time) HAVING count(DISTINCT dst) >= {hosts}
), suspects AS (
  SELECT src, date_trunc('day', bin) AS day, max(hosts_seen) AS hosts_seen FROM windows GROUP BY src, date_trunc('day', bin)
)
SELECT p.src AS entity, p.src, min(p.event_time) AS first_seen, max(p.event_time) AS last_seen, count(*) AS "count",
  max(s.hosts_seen) AS hosts_seen, min(p.account_id) AS account_id, min(p.region) AS region
FROM pings p JOIN suspects s ON p.src = s.src AND date_trunc('day', p.event_time) = s.day
GROUP BY p.src, s.day
ORDER BY "count" DESC, entity
