/* ---
title: "Activity by account and region"
description: |
    A region nobody works in should be silent.
tables: [cloudtrail]
--- */
SELECT account_id, region, count(*) AS calls, count(*) FILTER (WHERE (read_only IS DISTINCT FROM true)) AS changes, count(DISTINCT actor) AS principals,
  min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
GROUP BY account_id, region
ORDER BY calls, account_id, region
