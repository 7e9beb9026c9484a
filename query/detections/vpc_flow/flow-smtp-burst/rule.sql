/* ---
id: flow-smtp-burst
title: "Mail sent to many servers"
status: stable
author: logq
level: medium
description: |
    An internal host opened SMTP connections to many outside mail servers. Mail that is meant to
    leave goes through one relay; a host that delivers by itself sends spam.
tags:
  - attack.impact
  - attack.t1496
  - attack.command-and-control
  - attack.t1071.003
tables: [vpc_flow]
parameters:
  servers:
    default: 10
    doc: "Distinct outside addresses within the window. A mail relay of yours exceeds it and belongs into a copy of this rule."
  window:
    default: 1 hour
    doc: "Spam runs deliver hundreds an hour."
summary: "{src} opened SMTP connections to {servers_seen} servers within {window}; {count} records, {bytes_sent} bytes"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND {SRC} = {src} AND protocol = 6 AND dst_port = 25 AND {TO_SERVER} AND NOT is_private({DST})
  ORDER BY event_time
falsepositives:
  - "A mail relay run by yourselves."
--- */
WITH mail AS (
  SELECT {SRC} AS src, {DST} AS dst, event_time, bytes, account_id, region FROM vpc_flow
  WHERE {TIME} AND protocol = 6 AND dst_port = 25 AND {TO_SERVER} AND is_private({SRC}) AND NOT is_private({DST})
), suspects AS (
  SELECT src, date_trunc('day', bin) AS day, max(servers_seen) AS servers_seen FROM (
    SELECT src, date_bin(INTERVAL {window}, event_time) AS bin, count(DISTINCT dst) AS servers_seen
    FROM mail GROUP BY src, date_bin(INTERVAL {window}, event_time) HAVING count(DISTINCT dst) >= {servers})
  GROUP BY src, date_trunc('day', bin)
)
SELECT m.src AS entity, m.src, min(m.event_time) AS first_seen, max(m.event_time) AS last_seen, count(*) AS "count",
  max(s.servers_seen) AS servers_seen, sum(m.bytes) AS bytes_sent, min(m.account_id) AS account_id, min(m.region) AS region
FROM mail m JOIN suspects s ON m.src = s.src AND date_trunc('day', m.event_time) = s.day
GROUP BY m.src, s.day
ORDER BY "count" DESC, entity
