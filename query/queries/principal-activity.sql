/* ---
title: "What a principal did: services, operations, addresses"
description: |
    Part of the ARN is enough. The first page about a suspect.
tables: [cloudtrail]
parameters:
  - name: principal
    type: text
    doc: "Part of an ARN, user or role name."
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT event_source, event_name, count(*) AS calls, count(*) FILTER (WHERE outcome = 'failure') AS failed, count(DISTINCT src_ip) AS addresses,
  count(DISTINCT region) AS regions, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE actor LIKE '%' || $principal || '%'
GROUP BY event_source, event_name
ORDER BY calls DESC, event_source, event_name
LIMIT $limit
