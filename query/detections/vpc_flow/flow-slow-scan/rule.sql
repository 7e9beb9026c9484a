/* ---
id: flow-slow-scan
title: "Slow scan from outside"
status: stable
author: logq
level: low
description: |
    A source outside tries many ports or hosts over hours or days, too slowly for the scan rules.
tags:
  - attack.discovery
  - attack.t1046
  - attack.reconnaissance
  - attack.t1595.001
tables: [vpc_flow]
parameters:
  targets:
    default: 60
    doc: "Distinct pairs of address and port in the whole time range, each tried with a few packets."
  packets:
    default: 6
    doc: "Most packets of a record that still looks like a probe."
  hours:
    default: 4
    doc: "Distinct hours with probes: what is faster is found as a port scan or sweep."
summary: "{src} tried {targets_seen} ports on {hosts_seen} hosts over {hours_seen} different hours; {refused} of {count} records were refused"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND protocol IN (6, 17) AND packets <= {packets} AND dst_port < 32768 AND src_port > 1023 AND {TO_SERVER}
  ORDER BY event_time
falsepositives:
  - "Search engines of the Internet; they scan everybody all the time."
--- */
SELECT {SRC} AS entity, {SRC} AS src, min(event_time) AS first_seen, max(event_time) AS last_seen, count(*) AS "count",
  count(DISTINCT {DST} || ' ' || CAST(dst_port AS VARCHAR)) AS targets_seen, count(DISTINCT {DST}) AS hosts_seen,
  count(DISTINCT date_trunc('hour', event_time)) AS hours_seen, sum(CASE WHEN action = 'REJECT' THEN 1 ELSE 0 END) AS refused,
  min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND protocol IN (6, 17) AND packets <= {packets} AND dst_port < 32768 AND src_port > 1023 AND {TO_SERVER} AND NOT is_private({SRC})
GROUP BY {SRC}
HAVING count(DISTINCT {DST} || ' ' || CAST(dst_port AS VARCHAR)) >= {targets} AND count(DISTINCT date_trunc('hour', event_time)) >= {hours}
  AND (count(DISTINCT dst_port) >= {targets} / 2 OR sum(CASE WHEN action = 'REJECT' THEN 1 ELSE 0 END) >= count(*) / 2)
ORDER BY "count" DESC, entity
