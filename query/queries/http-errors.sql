/* ---
title: "Requests that failed, by path and status"
description: |
    Access logs of applications. 401 and 403 in numbers are guessing, 500 after odd paths may be an exploit.
tables: [app_log]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT http_status, http_method, split_part(http_path, '?', 1) AS path, count(*) AS requests, count(DISTINCT src_ip) AS clients, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM app_log
WHERE http_status >= 400
GROUP BY http_status, http_method, split_part(http_path, '?', 1)
ORDER BY requests DESC, http_status, path
LIMIT $limit
