/* ---
title: "What was deleted, by whom"
description: |
    All services, successes only; a burst is destruction.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT actor, event_source, event_name, count(*) AS calls, count(DISTINCT region) AS regions, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE (event_name LIKE 'Delete%' OR event_name LIKE 'Terminate%' OR event_name LIKE 'Deregister%' OR event_name LIKE 'ScheduleKeyDeletion%')
  AND (outcome IS DISTINCT FROM 'failure') AND invoked_by IS NULL
GROUP BY actor, event_source, event_name
ORDER BY calls DESC, actor, event_name
LIMIT $limit
