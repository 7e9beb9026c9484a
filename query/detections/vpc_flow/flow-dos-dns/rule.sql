/* ---
id: flow-dos-dns
title: "Flood of DNS packets"
status: stable
author: logq
level: high
description: |
    An internal host sent a flood of UDP packets to port 53 of one address: it takes part in a
    denial of service, or tunnels data through DNS.
tags:
  - attack.impact
  - attack.t1498
  - attack.t1498.001
tables: [vpc_flow]
parameters:
  packets:
    default: 100000
    doc: "Packets to one address within the window, as one interface saw them. Ordinary clients stay far below."
  window:
    default: 10 minutes
    doc: "As long as the longest aggregation of flow logs."
summary: "{src} sent {packets_sent} packets ({bytes_sent} bytes) to {dst} within {window}; {count} records in all"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND protocol = 17 AND dst_port = 53
  ORDER BY event_time
falsepositives:
  - "Load tests run by yourselves."
--- */
WITH sent AS (
  SELECT {SRC} AS src, {DST} AS dst, interface_id, date_bin(INTERVAL {window}, event_time) AS bin,
    min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS records,
    sum(packets) AS packets, sum(bytes) AS bytes, min(account_id) AS account_id, min(region) AS region
  FROM vpc_flow
  WHERE {TIME} AND protocol = 17 AND dst_port = 53 AND is_private({SRC})
  GROUP BY {SRC}, {DST}, interface_id, date_bin(INTERVAL {window}, event_time)
), suspects AS (
  SELECT src, dst, date_trunc('day', bin) AS day, max(packets) AS packets_sent, max(bytes) AS bytes_sent
  FROM sent WHERE packets >= {packets}
  GROUP BY src, dst, date_trunc('day', bin)
)
SELECT s.src || ' -> ' || s.dst AS entity, s.src, s.dst, min(a.first_seen) AS first_seen, max(a.last_seen) AS last_seen,
  sum(a.records) AS "count", max(s.packets_sent) AS packets_sent, max(s.bytes_sent) AS bytes_sent,
  min(a.account_id) AS account_id, min(a.region) AS region
FROM suspects s JOIN sent a ON a.src = s.src AND a.dst = s.dst AND date_trunc('day', a.bin) = s.day
GROUP BY s.src, s.dst, s.day
ORDER BY packets_sent DESC, entity
