/* ---
title: "Who was denied what"
description: |
    A burst of denials over many operations is somebody finding out what credentials can do.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT actor, count(*) AS denied, count(DISTINCT event_name) AS operations, count(DISTINCT event_source) AS services,
  count(DISTINCT src_ip) AS addresses, approx_top_k(event_name, 3) AS most, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE error_code IN ('AccessDenied', 'AccessDeniedException', 'UnauthorizedOperation', 'Client.UnauthorizedOperation', 'AuthorizationError', 'NotAuthorized')
GROUP BY actor
ORDER BY denied DESC, actor
LIMIT $limit
