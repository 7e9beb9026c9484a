/* ---
title: "Failed console logins by address"
description: |
    Many users from one address is password spraying; many failures of one user is guessing.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT src_ip, count(*) AS failures, count(DISTINCT user_name) AS users, min(error_message) AS message,
  min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE event_name = 'ConsoleLogin' AND outcome = 'failure'
GROUP BY src_ip
ORDER BY failures DESC, src_ip
LIMIT $limit
