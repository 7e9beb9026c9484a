/* ---
id: flow-large-outbound-transfer
title: "Large transfer to an outside host"
status: stable
author: logq
level: medium
description: |
    A private address sent a large volume to one public address over connections it opened
    itself. Answers of public servers do not count. The same flow is logged on up to three
    interfaces on its way; the largest of them counts.
tags:
  - attack.exfiltration
  - attack.t1048
  - attack.t1041
tables: [vpc_flow]
parameters:
  bytes_per_day:
    default: 1073741824
    doc: "1 GiB a day to one address. Deliveries of that size go to few known partners; list them in your own copy of the rule."
summary: "{src} sent {gib} GiB to {dst} in one day over connections it opened; {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND action = 'ACCEPT'
    AND pkt_dst_aws_service IS NULL AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Backups and deliveries to partners."
  - "Uploads to software-as-a-service."
--- */
WITH sent AS (
  SELECT {SRC} AS src, {DST} AS dst, date_trunc('day', event_time) AS day, interface_id,
    min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS records, sum(bytes) AS bytes,
    min(account_id) AS account_id, min(region) AS region
  FROM vpc_flow
  WHERE {TIME} AND action = 'ACCEPT' AND pkt_dst_aws_service IS NULL AND {TO_SERVER}
    AND is_private({SRC}) AND NOT is_private({DST})
  GROUP BY {SRC}, {DST}, date_trunc('day', event_time), interface_id
)
SELECT src || ' -> ' || dst AS entity, src, dst, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
  sum(records) AS "count", max(bytes) AS bytes_sent, round(max(bytes) / 1073741824.0, 1) AS gib,
  min(account_id) AS account_id, min(region) AS region
FROM sent
GROUP BY src, dst, day
HAVING max(bytes) >= {bytes_per_day}
ORDER BY bytes_sent DESC, entity
