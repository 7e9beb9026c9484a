/* ---
id: flow-port-sweep
title: "Port sweep: one port on many hosts"
status: stable
author: logq
level: medium
description: |
    One source tried the same port on many hosts with a few packets each: it looks for a service,
    or spreads.
tags:
  - attack.discovery
  - attack.t1046
  - attack.reconnaissance
  - attack.t1595.001
tables: [vpc_flow]
parameters:
  hosts:
    default: 18
    doc: "Distinct hosts within the window that got no more than a probe. Recorded workstations browsing the web reach 16."
  packets:
    default: 6
    doc: "Most packets a host may get in the window and still count as probed. A TLS session needs more from the client alone, and a connection kept alive adds up over the window."
  window:
    default: 10 minutes
    doc: "Sweeps are fast; connections kept alive show themselves within ten minutes."
summary: "{src} tried port {dst_port} on {hosts_seen} hosts within {window} with at most {packets} packets each; {rejected} of {count} records were rejected"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND dst_port = {dst_port} AND protocol = {protocol} AND packets <= {packets} AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Vulnerability scanners and monitoring run by yourselves."
  - "Web crawlers, update and certificate checks over plain HTTP."
--- */
WITH flows AS (
  SELECT {SRC} AS src, {DST} AS dst, dst_port, protocol, packets, interface_id, event_time, action, account_id, region
  FROM vpc_flow
  WHERE {TIME} AND protocol IN (6, 17) AND dst_port NOT IN (53, 123) AND {TO_SERVER}
), probes AS (
  SELECT * FROM flows WHERE packets <= {packets}
), hosts AS (
  -- A flow is logged on the interfaces of both ends: packets per interface.
  SELECT src, dst_port, protocol, dst, date_bin(INTERVAL {window}, event_time) AS bin
  FROM flows GROUP BY src, dst_port, protocol, dst, date_bin(INTERVAL {window}, event_time)
  HAVING sum(packets) <= {packets} * count(DISTINCT interface_id)
), windows AS (
  SELECT src, dst_port, protocol, bin, count(*) AS hosts_seen
  FROM hosts GROUP BY src, dst_port, protocol, bin HAVING count(*) >= {hosts}
), suspects AS (
  SELECT src, dst_port, protocol, date_trunc('day', bin) AS day, max(hosts_seen) AS hosts_seen
  FROM windows GROUP BY src, dst_port, protocol, date_trunc('day', bin)
)
SELECT p.src || ' port ' || CAST(p.dst_port AS VARCHAR) AS entity, p.src, p.dst_port, p.protocol,
  min(p.event_time) AS first_seen, max(p.event_time) AS last_seen, count(*) AS "count", max(s.hosts_seen) AS hosts_seen,
  sum(CASE WHEN p.action = 'REJECT' THEN 1 ELSE 0 END) AS rejected, min(p.account_id) AS account_id, min(p.region) AS region
FROM probes p JOIN suspects s
  ON p.src = s.src AND p.dst_port = s.dst_port AND p.protocol = s.protocol AND date_trunc('day', p.event_time) = s.day
GROUP BY p.src, p.dst_port, p.protocol, s.day
ORDER BY "count" DESC, entity
