/* ---
title: "Addresses a principal used for the first time"
description: |
    First seen in the last part of the time looked at. Give --since a longer time than `new`, so that there is a past to compare with.
tables: [cloudtrail]
parameters:
  - name: new
    type: span
    default: "1d"
    doc: "What counts as new."
  - name: limit
    type: int
    default: "50"
    doc: "Rows shown."
--- */
SELECT actor, src_ip, min(event_time) AS first_seen, count(*) AS calls, count(DISTINCT event_name) AS operations, min(user_agent(user_agent)) AS program
FROM cloudtrail
WHERE src_ip IS NOT NULL AND NOT is_private(src_ip) AND actor IS NOT NULL
GROUP BY actor, src_ip
HAVING min(event_time) >= ago($new)
ORDER BY first_seen DESC, actor, src_ip
LIMIT $limit
