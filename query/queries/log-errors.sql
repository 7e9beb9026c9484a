/* ---
title: "Errors by workload"
description: |
    Records of severity ERROR and worse.
tables: [app_log]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT namespace, coalesce(workload, pod, service) AS workload, container, count(*) AS errors, min(event_time) AS first_seen, max(event_time) AS last_seen, min(left(body, 200)) AS example
FROM app_log
WHERE severity_number >= 17
GROUP BY namespace, coalesce(workload, pod, service), container
ORDER BY errors DESC, namespace, workload
LIMIT $limit
