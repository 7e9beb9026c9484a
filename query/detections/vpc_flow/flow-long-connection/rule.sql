/* ---
id: flow-long-connection
title: "Connection that stays open for hours"
status: stable
author: logq
level: low
description: |
    An internal host keeps one connection to an outside address open. Records of the same five-tuple
    whose gaps are no longer than two windows are one connection.
tags:
  - attack.command-and-control
  - attack.t1071
  - attack.t1572
tables: [vpc_flow]
parameters:
  hours:
    default: 8
    doc: "Least duration. Remote shells and tunnels stay open for a working day; web sessions do not."
  gap:
    default: 21 minutes
    doc: "Longest silence inside a connection: two windows of ten minutes and some slack."
summary: "{src} kept a connection to {dst} port {dst_port} open for {duration_hours} hours; {bytes_sent} bytes sent in {count} records"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND src_port = {src_port} AND dst_port = {dst_port} AND protocol = {protocol} AND action = 'ACCEPT'
  ORDER BY event_time
falsepositives:
  - "Database, message queue and monitoring connections to services outside."
--- */
WITH records AS (
  SELECT {SRC} AS src, {DST} AS dst, src_port, dst_port, protocol, event_time, end_time, bytes, account_id, region,
    CASE WHEN event_time - lag(event_time) OVER (PARTITION BY {SRC}, {DST}, src_port, dst_port, protocol ORDER BY event_time) <= INTERVAL {gap} THEN 0 ELSE 1 END AS begins
  FROM vpc_flow
  WHERE {TIME} AND action = 'ACCEPT' AND protocol IN (6, 17) AND dst_port NOT IN (53, 123) AND dst_port < src_port
    AND is_private({SRC}) AND NOT is_private({DST}) AND pkt_dst_aws_service IS NULL
), numbered AS (
  SELECT *, sum(begins) OVER (PARTITION BY src, dst, src_port, dst_port, protocol ORDER BY event_time) AS number FROM records
)
SELECT src || ' -> ' || dst || ' port ' || CAST(dst_port AS VARCHAR) AS entity, src, dst, src_port, dst_port, protocol, min(event_time) AS first_seen, max(event_time) AS last_seen,
  count(*) AS "count", sum(bytes) AS bytes_sent,
  round((CAST(extract(epoch FROM max(coalesce(end_time, event_time))) AS DOUBLE) - CAST(extract(epoch FROM min(event_time)) AS DOUBLE)) / 3600.0, 1) AS duration_hours,
  min(account_id) AS account_id, min(region) AS region
FROM numbered
GROUP BY src, dst, src_port, dst_port, protocol, number
HAVING CAST(extract(epoch FROM max(coalesce(end_time, event_time))) AS DOUBLE) - CAST(extract(epoch FROM min(event_time)) AS DOUBLE) >= {hours} * 3600
ORDER BY duration_hours DESC, entity
