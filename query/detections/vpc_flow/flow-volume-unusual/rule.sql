/* ---
id: flow-volume-unusual
title: "Unusual volume to an outside host"
status: stable
author: logq
level: medium
description: |
    An internal host sent far more to one outside address in a day than it ever sends outside in a
    day: more than the median and six median absolute deviations of its own days.
tags:
  - attack.exfiltration
  - attack.t1048
  - attack.t1030
tables: [vpc_flow]
parameters:
  history:
    default: 14 days
    doc: "How far back the host's habits are read."
  days:
    default: 5
    doc: "Days of history a host must have."
  deviations:
    default: 6
    doc: "Scaled median absolute deviations above the median. Three is the usual bound of an outlier; traffic has heavier tails."
  factor:
    default: 5
    doc: "At least so many times the median, for hosts that send nearly the same every day."
  bytes:
    default: 104857600
    doc: "100 MiB: less is not worth a look whatever the habit."
summary: "{src} sent {bytes_sent} bytes to {dst} in one day; its days outside have a median of {usual} bytes in all; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND action = 'ACCEPT' AND pkt_dst_aws_service IS NULL AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Backups and deliveries that run rarely."
--- */
WITH days AS (
  SELECT src, day, max(bytes) AS bytes FROM (
    SELECT {SRC} AS src, date_trunc('day', event_time) AS day, interface_id, sum(bytes) AS bytes FROM vpc_flow
    WHERE {HISTORY} AND action = 'ACCEPT' AND pkt_dst_aws_service IS NULL AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
    GROUP BY {SRC}, date_trunc('day', event_time), interface_id)
  GROUP BY src, day
), usual AS (
  SELECT src, CAST(median(bytes) AS DOUBLE) AS mid FROM days GROUP BY src HAVING count(*) >= {days}
), spread AS (
  SELECT d.src, min(u.mid) AS mid, CAST(median(abs(d.bytes - u.mid)) AS DOUBLE) AS mad
  FROM days d JOIN usual u ON d.src = u.src GROUP BY d.src
), sent AS (
  SELECT src, dst, day, max(bytes) AS bytes, sum(records) AS records, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
    min(account_id) AS account_id, min(region) AS region FROM (
    SELECT {SRC} AS src, {DST} AS dst, date_trunc('day', event_time) AS day, interface_id, sum(bytes) AS bytes, count(*) AS records,
      min(event_time) AS first_seen, max(event_time) AS last_seen, min(account_id) AS account_id, min(region) AS region
    FROM vpc_flow
    WHERE {RECENT} AND action = 'ACCEPT' AND pkt_dst_aws_service IS NULL AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
    GROUP BY {SRC}, {DST}, date_trunc('day', event_time), interface_id)
  GROUP BY src, dst, day
)
SELECT t.src || ' -> ' || t.dst AS entity, t.src, t.dst, t.first_seen, t.last_seen, t.records AS "count", t.bytes AS bytes_sent,
  CAST(s.mid AS BIGINT) AS usual, t.account_id, t.region
FROM sent t JOIN spread s ON t.src = s.src
WHERE t.bytes >= {bytes} AND t.bytes >= {factor} * s.mid AND t.bytes >= s.mid + {deviations} * 1.4826 * s.mad
ORDER BY bytes_sent DESC, entity
