/* ---
id: flow-new-doh-resolver
title: "New DNS over HTTPS resolver"
status: stable
author: logq
level: medium
description: |
    An internal host talks HTTPS to a public resolver of the list `doh` that nothing here used before.
tags:
  - attack.command-and-control
  - attack.t1071.004
  - attack.t1572
  - attack.stealth
  - attack.defense-evasion
tables: [vpc_flow]
needs: [doh]
parameters:
  history:
    default: 14 days
    doc: "How far back the host is known. Longer finds rarer things and reads more."
  days:
    default: 3
    doc: "Days of that history on which the host must have been seen: a new host has no habits yet."
summary: "{src} used {dst} for the first time; nothing here did in the {history} before; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND {DST} = {dst} AND action = 'ACCEPT' AND NOT is_private({DST})
    AND dst_port = 443 AND threat_name('doh', {DST}) IS NOT NULL AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Browsers that switch to DNS over HTTPS by themselves."
--- */
WITH recent AS (
  SELECT {SRC} AS src, {DST} AS dst, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS records,
    sum(bytes) AS bytes_sent, min(account_id) AS account_id, min(region) AS region
  FROM vpc_flow
  WHERE {RECENT} AND action = 'ACCEPT' AND dst_port = 443 AND threat_name('doh', {DST}) IS NOT NULL AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
    AND pkt_dst_aws_service IS NULL
  GROUP BY {SRC}, {DST}, date_trunc('day', event_time)
), seen AS (
  SELECT DISTINCT {DST} AS dst FROM vpc_flow
  WHERE {HISTORY} AND action = 'ACCEPT' AND dst_port = 443 AND threat_name('doh', {DST}) IS NOT NULL AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
), hosts AS (
  SELECT {SRC} AS src FROM vpc_flow WHERE {HISTORY} AND is_private({SRC})
  GROUP BY {SRC} HAVING count(DISTINCT date_trunc('day', event_time)) >= {days}
)
SELECT r.src || ' -> ' || r.dst AS entity, r.src, r.dst, r.first_seen, r.last_seen,
  r.records AS "count", r.bytes_sent, r.account_id, r.region
FROM recent r JOIN hosts h ON r.src = h.src LEFT JOIN seen s ON r.dst = s.dst
WHERE s.dst IS NULL
ORDER BY "count" DESC, entity
