/* ---
title: "Interfaces whose flow logs lost records"
description: |
    SKIPDATA says that records of the window could not be captured: what happened then is unknown, not absent.
tables: [vpc_flow]
--- */
SELECT account_id, interface_id, count(*) AS gaps, min(event_time) AS first_seen, max(coalesce(end_time, event_time)) AS last_seen
FROM vpc_flow
WHERE log_status = 'SKIPDATA'
GROUP BY account_id, interface_id
ORDER BY gaps DESC, interface_id
